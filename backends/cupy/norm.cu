// Layer and batch normalisation and their backward passes. Variances are taken from centred values, in a second pass.
// With r = 1 / sqrt(variance + eps) and xhat = (x - mean) * r.

struct Moments {
    A mean, r;
};

// Mean and r of a row, known to every thread of the block.
__device__ inline Moments row_moments(const T* row, i64 width, double eps, A* scratch) {
    A sum = A(0), squares = A(0);
    for (i64 j = threadIdx.x; j < width; j += THREADS) sum += row[j];
    const A mean = block_sum(sum, scratch) / A(width);
    for (i64 j = threadIdx.x; j < width; j += THREADS) squares += (row[j] - mean) * (row[j] - mean);
    const Moments found = {mean, A(1) / sqrt(block_sum(squares, scratch) / A(width) + A(eps))};
    return found;
}

// y = xhat, times weight plus bias if `affine`. x: (rows, width), weight, bias: (width). One block per row.
extern "C" __global__ void layer_norm(
    const T* x, const T* weight, const T* bias, int affine, T* y, i64 rows, i64 width, double eps) {
    __shared__ A scratch[THREADS];
    for (i64 r = blockIdx.x; r < rows; r += gridDim.x) {
        const T* row = x + r * width;
        const Moments m = row_moments(row, width, eps, scratch);
        for (i64 j = threadIdx.x; j < width; j += THREADS) {
            const A xhat = (row[j] - m.mean) * m.r;
            y[r * width + j] = affine ? xhat * weight[j] + bias[j] : xhat;
        }
    }
}

// gx = r * (h - mean(h) - xhat * mean(h * xhat)) with h = gy, times weight if `affine`. Each row's mean and r go to
// `means` and `scales` for the second kernel.
extern "C" __global__ void layer_norm_grad(
    const T* gy, const T* x, const T* weight, int affine, T* gx, T* means, T* scales, i64 rows, i64 width, double eps) {
    __shared__ A scratch[THREADS];
    for (i64 r = blockIdx.x; r < rows; r += gridDim.x) {
        const T *row = x + r * width, *g = gy + r * width;
        const Moments m = row_moments(row, width, eps, scratch);
        A level = A(0), slope = A(0);
        for (i64 j = threadIdx.x; j < width; j += THREADS) {
            const A h = affine ? g[j] * weight[j] : g[j];
            level += h;
            slope += h * ((row[j] - m.mean) * m.r);
        }
        level = block_sum(level, scratch) / A(width);
        slope = block_sum(slope, scratch) / A(width);
        for (i64 j = threadIdx.x; j < width; j += THREADS) {
            const A h = affine ? g[j] * weight[j] : g[j];
            gx[r * width + j] = m.r * (h - level - (row[j] - m.mean) * m.r * slope);
        }
        if (threadIdx.x == 0) means[r] = m.mean, scales[r] = m.r;
    }
}

// Parts of the sums over rows of gy * xhat and gy, for the weight and the bias. A thread owns a column of one part of
// `length` rows; parts: (2, gridDim.y, width).
extern "C" __global__ void layer_norm_weight_grad(
    const T* gy, const T* x, const T* means, const T* scales, T* parts, i64 rows, i64 width, i64 length) {
    const i64 j = (i64)blockIdx.x * THREADS + threadIdx.x, first = blockIdx.y * length;
    if (j >= width) return;
    A dweight = A(0), dbias = A(0);
    for (i64 r = first; r < rows && r < first + length; r++) {
        const A g = gy[r * width + j];
        dweight += g * ((x[r * width + j] - means[r]) * scales[r]);
        dbias += g;
    }
    parts[blockIdx.y * width + j] = dweight;
    parts[((i64)gridDim.y + blockIdx.y) * width + j] = dbias;
}

// Batch normalisation over x: (n, c, inner), all but the channel. Element k of a channel's n * inner.
__device__ inline i64 in_channel(int k, int channel, int c, int inner) {
    return ((i64)(k / inner) * c + channel) * inner + k % inner;
}

// Mean and biased variance per channel; one block each.
extern "C" __global__ void batch_norm_moments(const T* x, T* means, T* variances, int n, int c, int inner) {
    __shared__ A scratch[THREADS];
    const int channel = blockIdx.x, count = n * inner;
    A sum = A(0), squares = A(0);
    for (int k = threadIdx.x; k < count; k += THREADS) sum += x[in_channel(k, channel, c, inner)];
    const A mean = block_sum(sum, scratch) / A(count);
    for (int k = threadIdx.x; k < count; k += THREADS) {
        const A centred = x[in_channel(k, channel, c, inner)] - mean;
        squares += centred * centred;
    }
    const A variance = block_sum(squares, scratch) / A(count);
    if (threadIdx.x == 0) means[channel] = mean, variances[channel] = variance;
}

extern "C" __global__ void batch_norm(
    i64 total, const T* x, const T* means, const T* variances, const T* weight, const T* bias, T* y, int c, int inner,
    double eps) {
    FOR_EACH(e, total) {
        const int channel = e / inner % c;
        y[e] = (x[e] - means[channel]) * (weight[channel] / sqrt(variances[channel] + A(eps))) + bias[channel];
    }
}

// Sums of gy * xhat and of gy per channel: the cotangents of weight and bias.
extern "C" __global__ void batch_norm_sums(
    const T* gy, const T* x, const T* means, const T* variances, T* dweight, T* dbias, int n, int c, int inner,
    double eps) {
    __shared__ A scratch[THREADS];
    const int channel = blockIdx.x, count = n * inner;
    const A mean = means[channel], r = A(1) / sqrt(variances[channel] + A(eps));
    A slope = A(0), level = A(0);
    for (int k = threadIdx.x; k < count; k += THREADS) {
        const i64 e = in_channel(k, channel, c, inner);
        slope += gy[e] * ((x[e] - mean) * r);
        level += gy[e];
    }
    slope = block_sum(slope, scratch);
    level = block_sum(level, scratch);
    if (threadIdx.x == 0) dweight[channel] = slope, dbias[channel] = level;
}

// gx = gy*r*w + xhat*(2*gvar/r - r*w*dweight)/count + (gmean - r*w*dbias)/count
extern "C" __global__ void batch_norm_grad(
    i64 total, const T* gy, const T* gmean, const T* gvar, const T* x, const T* weight, const T* means,
    const T* variances, const T* dweight, const T* dbias, T* gx, int n, int c, int inner, double eps) {
    const A count = A((i64)n * inner);
    FOR_EACH(e, total) {
        const int channel = e / inner % c;
        const A r = A(1) / sqrt(variances[channel] + A(eps)), scale = r * weight[channel];
        const A slope = (A(2) * gvar[channel] / r - scale * dweight[channel]) / count;
        const A level = (gmean[channel] - scale * dbias[channel]) / count;
        gx[e] = gy[e] * scale + (x[e] - means[channel]) * r * slope + level;
    }
}

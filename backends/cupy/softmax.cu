// Softmax, log-softmax and the products with their Jacobians, along the middle axis of (outer, width, inner), row-major.
//
// Where inner is 1 a block works on each row; otherwise a thread on each column, so that neighbouring threads read
// neighbouring memory. A thread's own terms are added one after another, those of the block's threads in a tree.
// `logarithm` tells log-softmax from softmax.

// One row or column as its reader sees it: element j, of `width`.
struct Line {
    i64 start, width, step;
    __device__ i64 at(i64 j) const { return start + j * step; }
};

// Parts of the sums over a line, from its elements first, first + stride, ...
__device__ inline A maximum(const T* x, const Line& line, i64 first, i64 stride) {
    A top = -INFINITY;
    for (i64 j = first; j < line.width; j += stride) top = larger(top, x[line.at(j)]);
    return top;
}
__device__ inline A exponentials(const T* x, const Line& line, A top, i64 first, i64 stride) {
    A sum = A(0);
    for (i64 j = first; j < line.width; j += stride) sum += exp(x[line.at(j)] - top);
    return sum;
}
__device__ inline A projection(const T* gy, const T* y, const Line& line, int logarithm, i64 first, i64 stride) {
    A sum = A(0);
    for (i64 j = first; j < line.width; j += stride) sum += logarithm ? gy[line.at(j)] : gy[line.at(j)] * y[line.at(j)];
    return sum;
}

// Results along a line, once its sums are known.
__device__ inline void normalise(
    const T* x, T* y, const Line& line, A top, A sum, int logarithm, i64 first, i64 stride) {
    const A shift = log(sum);
    for (i64 j = first; j < line.width; j += stride) {
        const A z = x[line.at(j)] - top;
        y[line.at(j)] = logarithm ? z - shift : exp(z) / sum;
    }
}
__device__ inline void pull(
    const T* gy, const T* y, T* gx, const Line& line, A sum, int logarithm, i64 first, i64 stride) {
    for (i64 j = first; j < line.width; j += stride) {
        const i64 e = line.at(j);
        gx[e] = logarithm ? gy[e] - exp(y[e]) * sum : y[e] * (gy[e] - sum);
    }
}

extern "C" __global__ void softmax_rows(const T* x, T* y, i64 rows, i64 width, int logarithm) {
    __shared__ A scratch[THREADS];
    for (i64 r = blockIdx.x; r < rows; r += gridDim.x) {
        const Line row = {r * width, width, 1};
        const A top = block_max(maximum(x, row, threadIdx.x, THREADS), scratch);
        const A sum = block_sum(exponentials(x, row, top, threadIdx.x, THREADS), scratch);
        normalise(x, y, row, top, sum, logarithm, threadIdx.x, THREADS);
    }
}

extern "C" __global__ void softmax_columns(i64 n, const T* x, T* y, i64 width, i64 inner, int logarithm) {
    FOR_EACH(e, n) {
        const Line column = {e / inner * width * inner + e % inner, width, inner};
        const A top = maximum(x, column, 0, 1);
        normalise(x, y, column, top, exponentials(x, column, top, 0, 1), logarithm, 0, 1);
    }
}

extern "C" __global__ void softmax_grad_rows(
    const T* gy, const T* y, T* gx, i64 rows, i64 width, int logarithm) {
    __shared__ A scratch[THREADS];
    for (i64 r = blockIdx.x; r < rows; r += gridDim.x) {
        const Line row = {r * width, width, 1};
        const A sum = block_sum(projection(gy, y, row, logarithm, threadIdx.x, THREADS), scratch);
        pull(gy, y, gx, row, sum, logarithm, threadIdx.x, THREADS);
    }
}

extern "C" __global__ void softmax_grad_columns(
    i64 n, const T* gy, const T* y, T* gx, i64 width, i64 inner, int logarithm) {
    FOR_EACH(e, n) {
        const Line column = {e / inner * width * inner + e % inner, width, inner};
        pull(gy, y, gx, column, projection(gy, y, column, logarithm, 0, 1), logarithm, 0, 1);
    }
}

// Cross-entropy of each line's softmax with a class index, and its gradient. One block per row, or one thread per
// column: BLOCK tells which; `first` and `stride` are the thread's share of the line. Lines whose target is `ignored`
// count for nothing. A label out of range is reported in bad = (found, label), and takes no part in any access.

struct Labels {
    const i64* target;
    i64 ignored;
    double smoothing;
};

template <bool BLOCK> __device__ inline A total(A part, A* scratch) { return BLOCK ? block_sum(part, scratch) : part; }
template <bool BLOCK> __device__ inline A highest(A part, A* scratch) { return BLOCK ? block_max(part, scratch) : part; }

template <bool BLOCK>
__device__ inline void cross_entropy(
    const T* x, const Labels& labels, T* losses, i64* bad, const Line& line, i64 index, A* scratch) {
    const i64 first = BLOCK ? threadIdx.x : 0, stride = BLOCK ? THREADS : 1, label = labels.target[index];
    const bool counts = label != labels.ignored, valid = label >= 0 && label < line.width;
    if (counts && valid) {
        const A top = highest<BLOCK>(maximum(x, line, first, stride), scratch);
        const A sum = total<BLOCK>(exponentials(x, line, top, first, stride), scratch);
        A picked = x[line.at(label)] - top;
        if (labels.smoothing != 0.0) {
            A level = A(0);
            for (i64 j = first; j < line.width; j += stride) level += x[line.at(j)] - top;
            level = total<BLOCK>(level, scratch) / A(line.width);
            picked = A(1.0 - labels.smoothing) * picked + A(labels.smoothing) * level;
        }
        if (first == 0) losses[index] = log(sum) - picked;
    } else if (first == 0) {
        losses[index] = T(0);
        if (counts) bad[0] = 1, bad[1] = label;
    }
}

template <bool BLOCK>
__device__ inline void cross_entropy_grad(
    const T* gy, const T* x, const Labels& labels, T* gx, const Line& line, i64 index, A* scratch) {
    const i64 first = BLOCK ? threadIdx.x : 0, stride = BLOCK ? THREADS : 1, label = labels.target[index];
    if (label == labels.ignored) {
        for (i64 j = first; j < line.width; j += stride) gx[line.at(j)] = T(0);
        return;
    }
    const A top = highest<BLOCK>(maximum(x, line, first, stride), scratch), g = gy[index];
    const A sum = total<BLOCK>(exponentials(x, line, top, first, stride), scratch);
    const A uniform = A(labels.smoothing / line.width), rest = A(1.0 - labels.smoothing);
    for (i64 j = first; j < line.width; j += stride) {
        const A p = exp(x[line.at(j)] - top) / sum;
        gx[line.at(j)] = (p - (j == label ? rest : A(0)) - uniform) * g;
    }
}

extern "C" __global__ void cross_entropy_rows(
    const T* x, const i64* target, T* losses, i64* bad, i64 rows, i64 width, double smoothing, i64 ignored) {
    __shared__ A scratch[THREADS];
    const Labels labels = {target, ignored, smoothing};
    for (i64 r = blockIdx.x; r < rows; r += gridDim.x)
        cross_entropy<true>(x, labels, losses, bad, {r * width, width, 1}, r, scratch);
}

extern "C" __global__ void cross_entropy_columns(
    i64 n, const T* x, const i64* target, T* losses, i64* bad, i64 width, i64 inner, double smoothing, i64 ignored) {
    const Labels labels = {target, ignored, smoothing};
    FOR_EACH(e, n)
        cross_entropy<false>(x, labels, losses, bad, {e / inner * width * inner + e % inner, width, inner}, e, 0);
}

extern "C" __global__ void cross_entropy_grad_rows(
    const T* gy, const T* x, const i64* target, T* gx, i64 rows, i64 width, double smoothing, i64 ignored) {
    __shared__ A scratch[THREADS];
    const Labels labels = {target, ignored, smoothing};
    for (i64 r = blockIdx.x; r < rows; r += gridDim.x)
        cross_entropy_grad<true>(gy, x, labels, gx, {r * width, width, 1}, r, scratch);
}

extern "C" __global__ void cross_entropy_grad_columns(
    i64 n, const T* gy, const T* x, const i64* target, T* gx, i64 width, i64 inner, double smoothing, i64 ignored) {
    const Labels labels = {target, ignored, smoothing};
    FOR_EACH(e, n)
        cross_entropy_grad<false>(gy, x, labels, gx, {e / inner * width * inner + e % inner, width, inner}, e, 0);
}

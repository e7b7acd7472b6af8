// Convolution and its two transposes as matrix products whose operands are gathered on the fly (implicit GEMM):
// C[m, j] = sum over k of P(m, k) * Q(k, j). One block computes a TILE x TILE piece of C, each thread a STEP x STEP
// piece of that; K is walked in slices of DEPTH that pass through shared memory. blockIdx.z is the group, or for the
// weight's gradient the group and the part of K. The order of every sum is fixed.
//
// x: (n, c, h, w), weight: (o, c / groups, kh, kw), y: (n, o, oh, ow), all row-major.

#define TILE 64
#define DEPTH 16
#define STEP 4

struct Shape {
    int n, c, h, w, o, kh, kw, oh, ow, sh, sw, ph, pw, dh, dw, groups;
};

#define SHAPE_PARAMETERS                                                                                      \
    int n, int c, int h, int w, int o, int kh, int kw, int oh, int ow, int sh, int sw, int ph, int pw, int dh, \
        int dw, int groups
#define SHAPE \
    { n, c, h, w, o, kh, kw, oh, ow, sh, sw, ph, pw, dh, dw, groups }

// x at the place that output pixel (p, q) sees through kernel position (i, j); zero outside the borders.
__device__ inline T window(const T* x, const Shape& s, int image, int channel, int p, int q, int i, int j) {
    const int row = p * s.sh + i * s.dh - s.ph, col = q * s.sw + j * s.dw - s.pw;
    if (row < 0 || row >= s.h || col < 0 || col >= s.w) return T(0);
    return x[(((i64)image * s.c + channel) * s.h + row) * s.w + col];
}

// y = conv(x, weight): m is an output channel of the group, k = (channel, i, j), column = (image, p, q).
struct Forward {
    Shape s;
    const T *x, *weight, *bias;
    T* y;
    int group;

    __device__ T left(int m, int k) const {
        const int depth = s.c / s.groups * s.kh * s.kw;
        return weight[(i64)(group * (s.o / s.groups) + m) * depth + k];
    }
    __device__ T right(int k, int column) const {
        const int j = k % s.kw, i = k / s.kw % s.kh, channel = k / (s.kw * s.kh);
        const int q = column % s.ow, p = column / s.ow % s.oh, image = column / (s.ow * s.oh);
        return window(x, s, image, group * (s.c / s.groups) + channel, p, q, i, j);
    }
    __device__ void store(int m, int column, A value) const {
        const int pixels = s.oh * s.ow, image = column / pixels;
        const int channel = group * (s.o / s.groups) + m;
        if (bias != 0) value += bias[channel];
        y[((i64)image * s.o + channel) * pixels + column % pixels] = value;
    }
};

// gx, the cotangent of x: m is an input channel of the group, k = (output channel, i, j), column = (image, row, col).
// Pixel (row, col) was seen by the output pixel (row + ph - i*dh) / sh, (col + pw - j*dw) / sw, where these are whole.
struct InputGrad {
    Shape s;
    const T *gy, *weight;
    T* gx;
    int group;

    __device__ T left(int m, int k) const {
        const int area = s.kh * s.kw, channel = group * (s.o / s.groups) + k / area;
        return weight[((i64)channel * (s.c / s.groups) + m) * area + k % area];
    }
    __device__ T right(int k, int column) const {
        const int j = k % s.kw, i = k / s.kw % s.kh, channel = group * (s.o / s.groups) + k / (s.kw * s.kh);
        const int col = column % s.w, row = column / s.w % s.h, image = column / (s.w * s.h);
        int p = row + s.ph - i * s.dh, q = col + s.pw - j * s.dw;
        if (p < 0 || q < 0 || p % s.sh != 0 || q % s.sw != 0) return T(0);
        p /= s.sh;
        q /= s.sw;
        if (p >= s.oh || q >= s.ow) return T(0);
        return gy[(((i64)image * s.o + channel) * s.oh + p) * s.ow + q];
    }
    __device__ void store(int m, int column, A value) const {
        const int pixels = s.h * s.w, image = column / pixels;
        gx[((i64)image * s.c + group * (s.c / s.groups) + m) * pixels + column % pixels] = value;
    }
};

// The weight's cotangent: m is an output channel of the group, k = (image, p, q), column = (channel, i, j). Part z of
// K's terms goes to parts[z]; adding the parts up is a second, equally ordered step.
struct WeightGrad {
    Shape s;
    const T *gy, *x;
    T* parts;
    int group, part;

    __device__ T left(int m, int k) const {
        const int pixels = s.oh * s.ow, image = k / pixels;
        return gy[((i64)image * s.o + group * (s.o / s.groups) + m) * pixels + k % pixels];
    }
    __device__ T right(int k, int column) const {
        const int q = k % s.ow, p = k / s.ow % s.oh, image = k / (s.ow * s.oh);
        const int j = column % s.kw, i = column / s.kw % s.kh, channel = column / (s.kw * s.kh);
        return window(x, s, image, group * (s.c / s.groups) + channel, p, q, i, j);
    }
    __device__ void store(int m, int column, A value) const {
        const int width = s.c / s.groups * s.kh * s.kw;
        parts[((i64)part * s.o + group * (s.o / s.groups) + m) * width + column] = value;
    }
};

// One tile of C over k in [first, last). M x N is C's size; tiles may stick out of it.
template <class Product>
__device__ inline void multiply_tile(const Product& product, int M, int N, int first, int last) {
    __shared__ T P[DEPTH][TILE], Q[DEPTH][TILE];
    const int top = blockIdx.y * TILE, start = blockIdx.x * TILE, t = threadIdx.x;
    const int mine_m = t / (TILE / STEP) * STEP, mine_j = t % (TILE / STEP) * STEP;
    A sums[STEP][STEP];
    for (int a = 0; a < STEP; a++)
        for (int b = 0; b < STEP; b++) sums[a][b] = A(0);
    for (int from = first; from < last; from += DEPTH) {
        for (int e = t; e < TILE * DEPTH; e += THREADS) {
            // the left operand is contiguous along k, the right one along its columns: neighbours load neighbours
            const int k_left = e % DEPTH, m = e / DEPTH, k_right = e / TILE, j = e % TILE;
            const bool left = top + m < M && from + k_left < last, right = start + j < N && from + k_right < last;
            P[k_left][m] = left ? product.left(top + m, from + k_left) : T(0);
            Q[k_right][j] = right ? product.right(from + k_right, start + j) : T(0);
        }
        __syncthreads();
        for (int k = 0; k < DEPTH; k++) {
            A p[STEP], q[STEP];
            for (int a = 0; a < STEP; a++) p[a] = P[k][mine_m + a];
            for (int b = 0; b < STEP; b++) q[b] = Q[k][mine_j + b];
            for (int a = 0; a < STEP; a++)
                for (int b = 0; b < STEP; b++) sums[a][b] += p[a] * q[b];
        }
        __syncthreads();
    }
    for (int a = 0; a < STEP; a++)
        for (int b = 0; b < STEP; b++) {
            const int m = top + mine_m + a, j = start + mine_j + b;
            if (m < M && j < N) product.store(m, j, sums[a][b]);
        }
}

extern "C" __global__ void conv2d(const T* x, const T* weight, const T* bias, int has_bias, T* y, SHAPE_PARAMETERS) {
    const Forward product = {SHAPE, x, weight, has_bias ? bias : 0, y, (int)blockIdx.z};
    multiply_tile(product, o / groups, n * oh * ow, 0, c / groups * kh * kw);
}

extern "C" __global__ void conv2d_input_grad(const T* gy, const T* weight, T* gx, SHAPE_PARAMETERS) {
    const InputGrad product = {SHAPE, gy, weight, gx, (int)blockIdx.z};
    multiply_tile(product, c / groups, n * h * w, 0, o / groups * kh * kw);
}

extern "C" __global__ void conv2d_weight_grad(const T* gy, const T* x, T* parts, int length, SHAPE_PARAMETERS) {
    const int group = blockIdx.z % groups, part = blockIdx.z / groups, terms = n * oh * ow;
    const int first = part * length, last = terms - first < length ? terms : first + length;
    const WeightGrad product = {SHAPE, gy, x, parts, group, part};
    multiply_tile(product, o / groups, c / groups * kh * kw, first, last);
}

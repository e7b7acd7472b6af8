// What every module starts with. T is the type of stored elements, A the type sums are accumulated in.

typedef STORED T;
typedef SUMMED A;
typedef long long i64;

#define THREADS 256

#ifndef INFINITY  // the run-time compiler has no <math.h>
#define INFINITY __int_as_float(0x7f800000)
#endif

// Every kernel over n independent elements loops with the grid's stride, so any grid covers any n.
#define FOR_EACH(i, n) \
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += (i64)gridDim.x * blockDim.x)

// Sum and maximum over a block of THREADS threads, in an order that is always the same; every thread gets the result.
// `scratch` has THREADS elements of shared memory. A NaN makes both NaN.
__device__ inline A block_sum(A value, A* scratch) {
    const int t = threadIdx.x;
    scratch[t] = value;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (t < half) scratch[t] += scratch[t + half];
        __syncthreads();
    }
    const A total = scratch[0];
    __syncthreads();
    return total;
}

__device__ inline A larger(A x, A y) { return (x > y || x != x) ? x : y; }

__device__ inline A block_max(A value, A* scratch) {
    const int t = threadIdx.x;
    scratch[t] = value;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (t < half) scratch[t] = larger(scratch[t], scratch[t + half]);
        __syncthreads();
    }
    const A top = scratch[0];
    __syncthreads();
    return top;
}

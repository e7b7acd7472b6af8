// Optimiser steps on one parameter of n elements. lr and step (from 1) are on the device, so nothing waits for them.
// Outputs may be the inputs themselves: every thread reads its element before it writes it. The order of operations is
// that of the generic forwards.

// The gradient to descend along, with an L2 penalty's.
__device__ inline A penalised(A g, A p, double weight_decay, int maximize) {
    if (maximize) g = -g;
    return weight_decay != 0.0 ? g + p * A(weight_decay) : g;
}

extern "C" __global__ void sgd_step(
    i64 n, const double* lr, const double* step, const T* p, const T* grad, const T* buffer, T* new_p, T* new_buffer,
    double momentum, double dampening, int nesterov, double weight_decay, int maximize) {
    const A rate = A(lr[0]), share = A(step[0] > 1.0 ? 1.0 - dampening : 1.0);
    FOR_EACH(e, n) {
        A g = penalised(grad[e], p[e], weight_decay, maximize);
        if (momentum != 0.0) {
            const A b = buffer[e] * A(momentum) + g * share;
            new_buffer[e] = b;
            g = nesterov ? g + b * A(momentum) : b;
        }
        new_p[e] = p[e] - rate * g;
    }
}

// What all parameters' Adam steps share: factor of decoupled decay, step size with bias correction, root of v's.
extern "C" __global__ void adam_rates(
    const double* lr, const double* step, double* rates, double beta1, double beta2, double weight_decay) {
    if (blockIdx.x != 0 || threadIdx.x != 0) return;
    rates[0] = 1.0 - lr[0] * weight_decay;
    rates[1] = lr[0] / (1.0 - pow(beta1, step[0]));
    rates[2] = sqrt(1.0 - pow(beta2, step[0]));
}

extern "C" __global__ void adam_step(
    i64 n, const double* rates, const T* p, const T* grad, const T* m, const T* v, const T* largest, T* new_p, T* new_m,
    T* new_v, T* new_largest, double beta1, double beta2, double eps, double weight_decay, int decoupled, int amsgrad,
    int maximize) {
    const A keep = A(rates[0]), rate = A(rates[1]), root = A(rates[2]);
    FOR_EACH(e, n) {
        A value = p[e];
        if (decoupled && weight_decay != 0.0) value *= keep;
        const A g = penalised(grad[e], value, decoupled ? 0.0 : weight_decay, maximize);
        const A first = m[e] + (g - m[e]) * A(1.0 - beta1);
        A second = v[e] * A(beta2) + g * g * A(1.0 - beta2);
        new_m[e] = first;
        new_v[e] = second;
        if (amsgrad) {
            second = larger(largest[e], second);
            new_largest[e] = second;
        }
        new_p[e] = value - rate * first / (sqrt(second) / root + A(eps));
    }
}

extern "C" __global__ void rmsprop_step(
    i64 n, const double* lr, const T* p, const T* grad, const T* s, const T* buffer, const T* mean, T* new_p, T* new_s,
    T* new_buffer, T* new_mean, double alpha, double eps, double weight_decay, double momentum, int centered,
    int maximize) {
    const A rate = A(lr[0]);
    FOR_EACH(e, n) {
        const A g = penalised(grad[e], p[e], weight_decay, maximize);
        const A square = s[e] * A(alpha) + g * g * A(1.0 - alpha);
        A variance = square;
        new_s[e] = square;
        if (centered) {
            const A average = mean[e] + (g - mean[e]) * A(1.0 - alpha);
            new_mean[e] = average;
            variance -= average * average;
        }
        A move = g / (sqrt(variance) + A(eps));
        if (momentum != 0.0) {
            move = buffer[e] * A(momentum) + move;
            new_buffer[e] = move;
        }
        new_p[e] = p[e] - rate * move;
    }
}

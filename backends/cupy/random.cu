// Philox 4x32-10 (Salmon, Moraes, Dror & Shaw 2011), addressed by element index: block b of a key (k0, k1, o0, o1) is
// that of the counter (b low, b high, o0, o1). One thread per block of four words.

struct Words {
    unsigned int w[4];
};

__device__ inline Words philox(const unsigned int* key, i64 block) {
    unsigned int c0 = (unsigned int)block, c1 = (unsigned int)((unsigned long long)block >> 32), c2 = key[2], c3 = key[3];
    unsigned int k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        const unsigned int high0 = __umulhi(0xD2511F53u, c0), low0 = 0xD2511F53u * c0;
        const unsigned int high1 = __umulhi(0xCD9E8D57u, c2), low1 = 0xCD9E8D57u * c2;
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    const Words words = {{c0, c1, c2, c3}};
    return words;
}

// Multiples of 2^-24 and of 2^-53 in [0, 1).
__device__ inline float uniform_float(unsigned int word) { return (word >> 8) * (1.0f / 16777216.0f); }
__device__ inline double uniform_double(unsigned int high, unsigned int low) {
    return ((high >> 5) * 67108864.0 + (low >> 6)) * (1.0 / 9007199254740992.0);
}

extern "C" __global__ void philox_bits(i64 blocks, const unsigned int* key, unsigned int* out, i64 n) {
    FOR_EACH(b, blocks) {
        const Words words = philox(key, b);
        for (int lane = 0; lane < 4 && 4 * b + lane < n; lane++) out[4 * b + lane] = words.w[lane];
    }
}

// float takes one word an element, double two.
extern "C" __global__ void random_uniform(i64 blocks, const unsigned int* key, T* out, i64 n) {
    FOR_EACH(b, blocks) {
        const Words words = philox(key, b);
        if (sizeof(T) == 8) {
            for (int k = 0; k < 2 && 2 * b + k < n; k++) out[2 * b + k] = uniform_double(words.w[2 * k], words.w[2 * k + 1]);
        } else {
            for (int k = 0; k < 4 && 4 * b + k < n; k++) out[4 * b + k] = uniform_float(words.w[k]);
        }
    }
}

extern "C" __global__ void random_bernoulli(i64 blocks, const unsigned int* key, bool* out, i64 n, double p) {
    FOR_EACH(b, blocks) {
        const Words words = philox(key, b);
        for (int lane = 0; lane < 4 && 4 * b + lane < n; lane++) out[4 * b + lane] = uniform_float(words.w[lane]) < float(p);
    }
}

// out = x * scale where the element's uniform, always a float, is at least p; 0 elsewhere.
extern "C" __global__ void dropout(
    i64 blocks, const T* x, const unsigned int* key, T* out, i64 n, double p, double scale) {
    FOR_EACH(b, blocks) {
        const Words words = philox(key, b);
        for (int lane = 0; lane < 4 && 4 * b + lane < n; lane++) {
            const i64 e = 4 * b + lane;
            out[e] = uniform_float(words.w[lane]) >= float(p) ? x[e] * T(scale) : T(0);
        }
    }
}

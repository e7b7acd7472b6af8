// Two-dimensional pooling over planes = n * c images. x: (planes, h, w), y: (planes, oh, ow), row-major.
//
// One thread per element of the result; the transposes gather from the windows that cover an input pixel instead of
// scattering from windows, so there are no atomics and every sum has a fixed order.

struct Windows {
    int h, w, oh, ow, kh, kw, sh, sw, ph, pw, dh, dw;
};

#define WINDOW_PARAMETERS int h, int w, int oh, int ow, int kh, int kw, int sh, int sw, int ph, int pw, int dh, int dw
#define WINDOWS \
    { h, w, oh, ow, kh, kw, sh, sw, ph, pw, dh, dw }

// Offset in the plane of the first maximum, row by row, of the window of output pixel (p, q); the first NaN if there is
// one; -1 for a window that lies in the padding altogether.
__device__ inline int first_maximum(const T* plane, const Windows& s, int p, int q) {
    int best = -1;
    for (int i = 0; i < s.kh; i++) {
        const int row = p * s.sh - s.ph + i * s.dh;
        if (row < 0 || row >= s.h) continue;
        for (int j = 0; j < s.kw; j++) {
            const int col = q * s.sw - s.pw + j * s.dw;
            if (col < 0 || col >= s.w) continue;
            const int here = row * s.w + col;
            if (best < 0) {
                best = here;
            } else {
                const T value = plane[here], top = plane[best];
                if (top == top && (value > top || value != value)) best = here;
            }
        }
    }
    return best;
}

// The output rows (or columns) whose windows may reach input row `at`: first <= p <= last.
__device__ inline int first_window(int at, int pad, int extent, int stride) {
    const int low = at + pad - extent + 1;
    return low <= 0 ? 0 : (low + stride - 1) / stride;
}
__device__ inline int last_window(int at, int pad, int stride, int count) {
    const int high = (at + pad) / stride;
    return high < count ? high : count - 1;
}

extern "C" __global__ void max_pool2d(i64 n, const T* x, T* y, WINDOW_PARAMETERS) {
    const Windows s = WINDOWS;
    FOR_EACH(e, n) {
        const int q = e % ow, p = e / ow % oh;
        const T* plane = x + e / ((i64)oh * ow) * h * w;
        const int best = first_maximum(plane, s, p, q);
        y[e] = best < 0 ? T(-INFINITY) : plane[best];
    }
}

// y[window] = u[position of the window's maximum in x]
extern "C" __global__ void max_pool2d_gather(i64 n, const T* u, const T* x, T* y, WINDOW_PARAMETERS) {
    const Windows s = WINDOWS;
    FOR_EACH(e, n) {
        const int q = e % ow, p = e / ow % oh;
        const i64 start = e / ((i64)oh * ow) * h * w;
        const int best = first_maximum(x + start, s, p, q);
        y[e] = best < 0 ? T(0) : u[start + best];
    }
}

// gx[pixel] = sum of g over the windows whose maximum the pixel is
extern "C" __global__ void max_pool2d_unpool(i64 n, const T* g, const T* x, T* gx, WINDOW_PARAMETERS) {
    const Windows s = WINDOWS;
    FOR_EACH(e, n) {
        const int here = e % ((i64)h * w), row = here / w, col = here % w;
        const i64 plane = e / ((i64)h * w);
        const int last_p = last_window(row, ph, sh, oh), last_q = last_window(col, pw, sw, ow);
        A sum = A(0);
        for (int p = first_window(row, ph, (kh - 1) * dh + 1, sh); p <= last_p; p++)
            for (int q = first_window(col, pw, (kw - 1) * dw + 1, sw); q <= last_q; q++)
                if (first_maximum(x + plane * h * w, s, p, q) == here) sum += g[(plane * oh + p) * ow + q];
        gx[e] = sum;
    }
}

// How many elements an average is taken over: the window's pixels, with those in the padding if `with_padding`. What a
// window has beyond the padding, in ceil mode, never counts.
__device__ inline int divisor(const Windows& s, int p, int q, int with_padding) {
    int top = p * s.sh - s.ph, left = q * s.sw - s.pw;
    int bottom = min(top + s.kh, s.h + s.ph), right = min(left + s.kw, s.w + s.pw);
    if (!with_padding) {
        top = max(top, 0), left = max(left, 0);
        bottom = min(bottom, s.h), right = min(right, s.w);
    }
    return (bottom - top) * (right - left);
}

extern "C" __global__ void avg_pool2d(i64 n, const T* x, T* y, int with_padding, WINDOW_PARAMETERS) {
    const Windows s = WINDOWS;
    FOR_EACH(e, n) {
        const int q = e % ow, p = e / ow % oh;
        const T* plane = x + e / ((i64)oh * ow) * h * w;
        const int top = max(p * sh - ph, 0), bottom = min(p * sh - ph + kh, h);
        const int left = max(q * sw - pw, 0), right = min(q * sw - pw + kw, w);
        A sum = A(0);
        for (int row = top; row < bottom; row++)
            for (int col = left; col < right; col++) sum += plane[row * w + col];
        y[e] = sum / A(divisor(s, p, q, with_padding));
    }
}

extern "C" __global__ void avg_pool2d_grad(i64 n, const T* g, T* gx, int with_padding, WINDOW_PARAMETERS) {
    const Windows s = WINDOWS;
    FOR_EACH(e, n) {
        const int col = e % w, row = e / w % h;
        const i64 plane = e / ((i64)h * w);
        const int last_p = last_window(row, ph, sh, oh), last_q = last_window(col, pw, sw, ow);
        A sum = A(0);
        for (int p = first_window(row, ph, kh, sh); p <= last_p; p++)
            for (int q = first_window(col, pw, kw, sw); q <= last_q; q++)
                sum += g[(plane * oh + p) * ow + q] / A(divisor(s, p, q, with_padding));
        gx[e] = sum;
    }
}

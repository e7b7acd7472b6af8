// Adding rows at repeated indices without atomics, so that the order of every sum is fixed.

// out, (outer, rows, inner), += updates, (outer, k, inner), at rows given by an index whose stable sort is `order`:
// updates order[starts[r]] ... order[starts[r + 1] - 1] belong to row r. One thread per element of out.
extern "C" __global__ void index_add(
    i64 n, const T* updates, const i64* order, const i64* starts, T* out, i64 rows, i64 inner, i64 k) {
    FOR_EACH(e, n) {
        const i64 column = e % inner, row = e / inner % rows, block = e / inner / rows;
        A sum = out[e];
        for (i64 j = starts[row]; j < starts[row + 1]; j++) sum += updates[(block * k + order[j]) * inner + column];
        out[e] = sum;
    }
}

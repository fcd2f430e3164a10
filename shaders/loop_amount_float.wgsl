// Provides: Amount, NOTHING, amount_of, amount_from_bits: credit in floating point; needs shader-float32-atomic.

// Sums depend on the order in which pixels come, so that runs do not repeat bit for bit.
alias Amount = f32;

const NOTHING = 0.0;

fn amount_of(scaled: f32) -> Amount {
    return scaled;
}

fn amount_from_bits(bits: i32) -> Amount {
    return bitcast<f32>(bits);
}

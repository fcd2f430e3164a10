// Provides: Amount, NOTHING, amount_of, amount_from_bits: credit in fixed point, the same bits in any order.
alias Amount = i32;

const NOTHING = 0.5; // what rounds to 0

fn amount_of(scaled: f32) -> Amount {
    return i32(round(scaled));
}

fn amount_from_bits(bits: i32) -> Amount {
    return bits;
}

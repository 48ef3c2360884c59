//! Small damage to bytes, whatever they are.

use super::dice::Dice;

/// Bytes at which parsers stumble.
const EDGES: [&[u8]; 24] = [
    b"\0",
    b"\n",
    b"\r\n",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x92\xa9",
    b"\xef\xbb\xbf",
    b"\"",
    b"\\",
    b"\\u0000",
    b"{",
    b"}",
    b"[[[[",
    b"(((",
    b"<0>",
    b"99999999999999999999",
    b"-1",
    b"1e999",
    b"1970-01-01T00:00:00Z",
    b"9999-12-31T23:59:59.999999999Z",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    b"\xff\xff\xff\xff\x0f",
    b"*/?",
    b" - ",
];

/// The input with one to eight changes.
pub fn bytes(dice: &mut Dice, input: &[u8], others: &[Vec<u8>]) -> Vec<u8> {
    let mut out = input.to_vec();
    for _ in 0..=dice.below(8) {
        change(dice, &mut out, others);
    }
    out
}

fn change(dice: &mut Dice, out: &mut Vec<u8>, others: &[Vec<u8>]) {
    let at = dice.below(out.len() + 1);
    let end = (at + 1 + dice.below(16)).min(out.len());
    match dice.below(9) {
        0 if at < out.len() => out[at] ^= 1 << dice.below(8),
        1 if at < out.len() => out[at] = dice.next() as u8,
        2 => drop(out.drain(at.min(end)..end)),
        3 => out.truncate(at),
        4 => insert(out, at, EDGES[dice.below(EDGES.len())]),
        5 => {
            let piece = out[at.min(end)..end].to_vec();
            insert(out, dice.below(out.len() + 1).min(out.len()), &piece.repeat(1 + dice.below(64)));
        }
        6 => {
            let other = dice.pick(others);
            let from = dice.below(other.len() + 1);
            insert(out, at, &other[from..(from + 64).min(other.len())]);
        }
        7 => insert(out, at, &dice.next().to_le_bytes()),
        _ => insert(out, at, &vec![dice.next() as u8; dice.below(2_000)]),
    }
}

fn insert(out: &mut Vec<u8>, at: usize, piece: &[u8]) {
    out.splice(at..at, piece.iter().copied());
}

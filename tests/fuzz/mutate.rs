//! Inputs made from inputs: cut, repeated, spliced, and strewn with words that mean something.

/// Numbers that look random, the same ones for a seed on every machine (SplitMix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`, which is above 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// Longer inputs find nothing that shorter ones do not, and take the time of many.
const INPUT_BYTES_MAX: usize = 16 << 10;

/// Values at the edges of what numbers can be.
const NUMBERS: [&str; 18] = [
    "0",
    "-0",
    "1",
    "-1",
    "0.5",
    "1e2",
    "1e400",
    "1e-400",
    "1e999999999",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551616",
    "0.1000000000000000001",
    "123456789012345678901234567890",
    "4294967296",
    "1.",
    "01",
];

/// Another input, made from `base` and now and then from a piece of `other`.
pub fn mutated(base: &[u8], other: &[u8], words: &[&str], random: &mut Random) -> Vec<u8> {
    let mut input = base.to_vec();
    for _ in 0..=random.below(4) {
        mutate(&mut input, other, words, random);
        input.truncate(INPUT_BYTES_MAX);
    }
    input
}

fn mutate(input: &mut Vec<u8>, other: &[u8], words: &[&str], random: &mut Random) {
    let at = random.below(input.len() + 1);
    match random.below(11) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = random.next() as u8,
        2 => insert(input, at, &[random.next() as u8]),
        3 => insert(input, at, random.of(words).as_bytes()),
        4 => insert(input, at, random.of(&NUMBERS).as_bytes()),
        5 => {
            let piece = piece(input, 40, random);
            input.drain(piece);
        }
        // Deep nesting and long runs.
        6 => {
            let repeated = input[piece(input, 12, random)].repeat(1 + random.below(300));
            insert(input, at, &repeated);
        }
        7 => {
            let copied = input[piece(input, 80, random)].to_vec();
            insert(input, at, &copied);
        }
        8 => insert(input, at, &other[piece(other, 120, random)]),
        // In the place of a word, so that more of the syntax survives.
        9 => {
            let word = word_at(input, at);
            input.splice(word, random.of(words).bytes());
        }
        _ => {
            let word = word_at(input, at);
            input.splice(word, random.of(&NUMBERS).bytes());
        }
    }
}

fn insert(input: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    input.splice(at..at, bytes.iter().copied());
}

fn piece(input: &[u8], bytes_max: usize, random: &mut Random) -> std::ops::Range<usize> {
    let start = random.below(input.len() + 1);
    let length = random.below(bytes_max.min(input.len() - start) + 1);
    start..start + length
}

/// The letters and digits around a place; may be none.
fn word_at(input: &[u8], at: usize) -> std::ops::Range<usize> {
    let inside = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let before = input[..at].iter().rev().take_while(|byte| inside(byte)).count();
    let behind = input[at..].iter().take_while(|byte| inside(byte)).count();
    at - before..at + behind
}

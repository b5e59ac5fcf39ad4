//! Which keys a store may hold, in a few bits each.
//!
//! In a new store a key that was never written is absent, and need not be looked up. What was written is too much to be
//! remembered, so a filter says of each key either that it was certainly not, or that it may have been. Too many keys
//! make it say the latter more often, which costs a look-up and nothing else.

/// Bits of a block: one line of a processor's cache.
type Block = [u64; 8];

/// Keys to a block when the filter is made: what a fold writes at once, with room for several of that size.
const BLOCK_KEYS: usize = 8;

/// What is known of a store's keys, by their hashes.
pub enum Seen {
    /// It holds none.
    Nothing,
    /// It holds none but these and some that look like them.
    Some(Vec<Block>),
    /// It may hold any.
    Anything,
}

impl Seen {
    /// Whether the store may hold a key.
    #[inline]
    pub fn may_hold(&self, hash: u32) -> bool {
        match self {
            Self::Nothing => false,
            Self::Some(blocks) => {
                let block = &blocks[place(hash, blocks.len())];
                bits(hash).all(|(word, bit)| block[word] & bit != 0)
            }
            Self::Anything => true,
        }
    }

    /// From now on it holds these too, of at most `count` keys.
    pub fn add(&mut self, count: usize, hashes: impl Iterator<Item = u32>) {
        if let Self::Nothing = self
            && count > 0
        {
            *self = Self::Some(vec![[0; 8]; count.div_ceil(BLOCK_KEYS)]);
        }
        let Self::Some(blocks) = self else { return };
        let length = blocks.len();
        for hash in hashes {
            let block = &mut blocks[place(hash, length)];
            bits(hash).for_each(|(word, bit)| block[word] |= bit);
        }
    }

    /// The memory that it holds.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Some(blocks) => blocks.len() * size_of::<Block>(),
            Self::Nothing | Self::Anything => 0,
        }
    }
}

#[inline]
fn place(hash: u32, blocks: usize) -> usize {
    ((u64::from(hash) * blocks as u64) >> 32) as usize
}

/// Six bits of a block: the word and the bit in it.
#[inline]
fn bits(hash: u32) -> impl Iterator<Item = (usize, u64)> {
    // The golden ratio's bits: what places blocks says little of what chooses bits.
    let mixed = u64::from(hash).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (0..6).map(move |number| {
        let nine = mixed >> (10 * number) & 0x1FF;
        (nine as usize >> 6, 1 << (nine & 63))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes without a pattern, from a place in their row.
    fn hashes(from: u32, count: u32) -> impl Iterator<Item = u32> {
        (from..from + count).map(|number| number.wrapping_mul(0x9E37_79B1).rotate_left(15))
    }

    #[test]
    fn what_was_added_may_be_there_and_little_else() {
        let mut seen = Seen::Nothing;
        assert!(hashes(0, 100).all(|hash| !seen.may_hold(hash)));
        for fold in 0..4 {
            seen.add(10_000, hashes(fold * 10_000, 10_000));
            assert!(hashes(0, (fold + 1) * 10_000).all(|hash| seen.may_hold(hash)));
            let wrong = hashes(1_000_000, 10_000).filter(|&hash| seen.may_hold(hash)).count();
            assert!(wrong <= 10 * 4_u32.pow(fold) as usize, "{wrong} of 10,000 after {fold}");
        }
        assert_eq!(seen.bytes(), 80_000);
    }

    #[test]
    fn of_anything_all_may_be_there() {
        let mut seen = Seen::Anything;
        seen.add(1, hashes(0, 1));
        assert!(hashes(5, 100).all(|hash| seen.may_hold(hash)));
    }
}

//! How a file is cut so that a transfer that is killed goes on where it was.
//!
//! ```text
//!   small file   [ one object                                   ]
//!   large file   [ piece 0 ][ piece 1 ][ piece 2 ] … [ the rest ] ──► composed into one object
//!                     ▲ each carries the digests' state after its last byte
//! ```
//!
//! A file is one stream, so its pieces are written one after the other. What lies in the bucket says
//! how far it came: whoever goes on takes up the state after the last piece and reads on from there, so
//! that only what was under way is read twice. Cloud Storage composes at most 32 objects at once, which bounds the number of
//! pieces; a small file is cheaper to read again than to compose.

/// Most objects of one compose request (Cloud Storage, `objects.compose`).
const MOST_PIECES: u64 = 32;

/// Which files are cut, and how finely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cutting {
    /// Files up to so many bytes are one object: at the rate of one stream they are read again in
    /// seconds.
    pub whole: u64,
    /// The least size of a piece: a compose and its deletes cost requests.
    pub least: u64,
    /// Pieces are a whole number of these; the unit of Cloud Storage's resumable uploads is 256 KiB.
    pub unit: u64,
}

impl Default for Cutting {
    fn default() -> Self {
        Self {
            whole: 256 << 20,
            least: 128 << 20,
            unit: 8 << 20,
        }
    }
}

/// How one file is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    length: u64,
    piece: u64,
}

/// One piece of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Its place, from 0.
    pub index: u32,
    /// Its first byte in the file.
    pub offset: u64,
    /// Its bytes.
    pub length: u64,
}

impl Cutting {
    /// The cut of a file of so many bytes: always the same, so that two processes agree.
    #[must_use]
    pub fn of(self, length: u64) -> Cut {
        let piece = if length <= self.whole {
            length
        } else {
            let even = length.div_ceil(MOST_PIECES).div_ceil(self.unit) * self.unit;
            even.max(self.least)
        };
        Cut { length, piece }
    }
}

impl Cut {
    /// Whether it is one object from the start.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        self.piece >= self.length
    }

    /// The pieces, in their order; one without bytes for an empty file.
    pub fn pieces(self) -> impl Iterator<Item = Piece> {
        let count = if self.piece == 0 {
            1
        } else {
            self.length.div_ceil(self.piece)
        };
        (0..count).map(move |index| {
            let offset = index * self.piece;
            Piece {
                index: u32::try_from(index).unwrap_or(u32::MAX),
                offset,
                length: self.piece.min(self.length - offset),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_small_file_is_one_object_and_a_shard_a_few_pieces() {
        let count = |length| Cutting::default().of(length).pieces().count();
        assert_eq!((count(0), count(1), count(256 << 20)), (1, 1, 1));
        // A shard of 5 GB, and the largest file that the Hub keeps.
        assert_eq!((count(5_000_000_000), count(50_000_000_000)), (32, 32));
    }

    proptest! {
        #[test]
        fn pieces_are_the_file_and_no_more_than_can_be_composed(length in prop_oneof![0_u64..1 << 20, 0_u64..1 << 42]) {
            let cut = Cutting::default().of(length);
            let pieces: Vec<Piece> = cut.pieces().collect();
            prop_assert!((1..=32).contains(&pieces.len()));
            let mut next = 0;
            for (index, piece) in pieces.iter().enumerate() {
                prop_assert_eq!((piece.index as usize, piece.offset), (index, next));
                next += piece.length;
                let last = index + 1 == pieces.len();
                prop_assert!(last || piece.length % (8 << 20) == 0);
                prop_assert!(piece.length > 0 || length == 0);
            }
            prop_assert_eq!(next, length);
            prop_assert_eq!(cut.is_whole(), pieces.len() == 1);
        }
    }
}

//! Prefixes of keys.

/// Length of the longest common prefix of two keys.
#[inline]
pub(crate) fn common_prefix_len(left: &[u8], right: &[u8]) -> usize {
    let (left_words, _) = left.as_chunks::<8>();
    let (right_words, _) = right.as_chunks::<8>();
    let mut len = 0;
    for (a, b) in left_words.iter().zip(right_words) {
        let difference = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if difference != 0 {
            return len + difference.trailing_zeros() as usize / 8;
        }
        len += 8;
    }
    len + left[len..].iter().zip(&right[len..]).take_while(|(a, b)| a == b).count()
}

/// The first eight bytes of `key` as a number that sorts as they do; short
/// keys are padded with zeros.
#[inline]
pub(crate) fn head(key: &[u8]) -> u64 {
    match key.first_chunk::<8>() {
        Some(bytes) => u64::from_be_bytes(*bytes),
        None => {
            let mut bytes = [0; 8];
            bytes[..key.len()].copy_from_slice(key);
            u64::from_be_bytes(bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_prefixes_are_counted_over_and_inside_words() {
        for (left, right, len) in [
            (&b""[..], &b"a"[..], 0),
            (b"abc", b"abd", 2),
            (b"abcdefgh", b"abcdefgh", 8),
            (b"abcdefghi", b"abcdefghj", 8),
            (b"abcdefgXi", b"abcdefgYi", 7),
            (b"abcdefghijk", b"abcdefghijklmno", 11),
        ] {
            assert_eq!(common_prefix_len(left, right), len, "{left:?} {right:?}");
            assert_eq!(common_prefix_len(right, left), len, "{right:?} {left:?}");
        }
    }

    #[test]
    fn heads_never_contradict_the_order_of_keys() {
        let keys: [&[u8]; 7] = [b"", b"\0", b"a", b"a\0", b"ab", b"abcdefgh", b"abcdefghi"];
        for pair in keys.windows(2) {
            assert!(head(pair[0]) <= head(pair[1]), "{pair:?}");
        }
    }
}

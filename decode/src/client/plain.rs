//! Addresses with nothing around them: nearly all of them are written like that, and the library takes several times as
//! long. `None` is no answer, but leaves the text to the library.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

/// The address that this is all of. IPv4-mapped IPv6 is IPv4.
#[inline]
pub(super) fn address(text: &[u8]) -> Option<IpAddr> {
    match v4(text) {
        Some(address) => Some(IpAddr::V4(address)),
        None => v6(text).map(|address| IpAddr::V6(address).to_canonical()),
    }
}

/// The address of `203.0.113.7`. How many digits come before a dot is what nothing can guess, so nothing here branches on it.
#[inline(always)]
pub(super) fn v4(text: &[u8]) -> Option<Ipv4Addr> {
    const DOTS: u32 = u32::from_le_bytes([b'.'; 4]);
    let mut octets = [0; 4];
    let mut rest = text;
    let mut is_good = true;
    for octet in &mut octets[..3] {
        let bytes = u32::from_le_bytes(*rest.first_chunk()?);
        // The lowest of the bytes that are dots has its highest bit.
        let dots = bytes ^ DOTS;
        let dots = NonZeroU32::new(dots.wrapping_sub(0x0101_0101) & !dots & 0x8080_8080)?;
        let bits = dots.trailing_zeros() & !7;
        let good;
        // Without a digit the dot itself stays, which is none.
        (*octet, good) = self::octet((bytes ^ ZEROS).wrapping_shl(32 - bits), bits);
        is_good &= good;
        rest = &rest[bits as usize / 8 + 1..];
    }
    let bits = 8 * rest.len() as u32;
    let bytes = u32::from_le_bytes(*text.last_chunk()?) ^ ZEROS;
    // Not more than three digits, and not none.
    let others = 32u32.checked_sub(bits).filter(|others| (8..32).contains(others))?;
    let good;
    (octets[3], good) = octet(bytes >> others << others, bits);
    (is_good & good).then_some(octets.into())
}

const ZEROS: u32 = u32::from_le_bytes([b'0'; 4]);

/// The number of these digits, which are so many bits of the highest bytes, first digit lowest, with zeros below them; and
/// whether it is one: up to 255, without zeros before it, as it might be octal.
#[inline(always)]
fn octet(digits: u32, bits: u32) -> (u8, bool) {
    let beyond_nine = ((digits & 0x7f7f_7f7f).wrapping_add(0x7676_7676) | digits) & 0x8080_8080;
    // As one would write them down, so that they are in the numbers' order.
    let written = digits.swap_bytes();
    let least = 1u32.wrapping_shl(bits.wrapping_sub(8)) & !1;
    let is_good = beyond_nine == 0 && written <= 0x0002_0505 && written >= least;
    // Each digit by its power of ten ends in the highest byte, and nothing below is carried into it.
    let number = digits.wrapping_mul(1 | 10 << 8 | 100 << 16) >> 24;
    (number as u8, is_good)
}

/// Groups of an IPv6 address.
const GROUPS: usize = 8;

/// The address of `2001:db8::7`.
#[inline(never)]
fn v6(text: &[u8]) -> Option<Ipv6Addr> {
    let mut groups = [0; GROUPS];
    let mut count = 0;
    // The number of groups before those that two colons stand for.
    let mut gap = None;
    let mut group = 0;
    let inner = match text {
        [b':', b':', ..] => 1,
        _ => 0,
    };
    let mut begins = inner;
    for (at, byte) in text.iter().enumerate().skip(inner) {
        let digit = DIGITS[usize::from(*byte)];
        if digit < 16 {
            group = group << 4 | u32::from(digit);
            continue;
        }
        if *byte != b':' {
            return None;
        }
        match at - begins {
            0 if gap.is_none() && at > 0 => gap = Some(count),
            1..=4 => {
                // What was shifted out of a group before is of no group of four digits.
                *groups.get_mut(count)? = group as u16;
                count += 1;
            }
            _ => return None,
        }
        (group, begins) = (0, at + 1);
    }
    match text.len() - begins {
        // Only two colons may stand at the end.
        0 if gap == Some(count) && begins > 1 && text[begins - 2] == b':' => {}
        1..=4 => {
            *groups.get_mut(count)? = group as u16;
            count += 1;
        }
        _ => return None,
    }
    match gap {
        None if count == GROUPS => {}
        // Two colons stand for one group at least.
        Some(gap) if count < GROUPS => {
            groups.copy_within(gap..count, gap + GROUPS - count);
            groups[gap..gap + GROUPS - count].fill(0);
        }
        _ => return None,
    }
    Some(groups.into())
}

/// What each byte is worth as a hexadecimal digit; sixteen is none.
const DIGITS: [u8; 256] = {
    let mut digits = [16; 256];
    let mut byte = 0;
    while byte < 256 {
        if let Some(digit) = (byte as u8 as char).to_digit(16) {
            digits[byte] = digit as u8;
        }
        byte += 1;
    }
    digits
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn of_four_octets_it_reads_what_the_library_reads(text in "[0-9]{1,3}([.][0-9]{1,3}){3}|[0-9.]{5,18}|[0-9]([./0-9:;a]|é){5,15}") {
            let found = v4(text.as_bytes());
            let meant = text.parse().ok();
            prop_assert!(found == meant || found.is_none(), "{} {:?}", text, found);
        }

        /// All but those that end like IPv4.
        #[test]
        fn of_eight_groups_it_reads_what_the_library_reads(text in "(::)?([0-9a-fA-F]{1,4}:{1,2}){1,8}([0-9a-f]{1,4})?|[0-9a-g:]{0,12}|[0-9a-f:.%é]{0,20}|:{0,3}([0-9]:){0,9}") {
            let meant = text.parse().ok().filter(|_| !text.contains('.'));
            prop_assert_eq!(v6(text.as_bytes()), meant, "{}", text);
        }

        #[test]
        fn whatever_the_library_writes_is_read(address: [u8; 16], holes in prop::collection::vec(0usize..16, 0..8)) {
            let mut address = address;
            for hole in holes {
                address[hole & !1..][..2].fill(0);
            }
            let text = Ipv6Addr::from(address).to_string();
            prop_assert_eq!(v6(text.as_bytes()), text.parse().ok().filter(|_| !text.contains('.')));
        }
    }
}

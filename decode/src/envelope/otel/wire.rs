//! Protobuf's wire format, as far as exports need it: fields one after the other, each bounded by its message. Nothing is
//! copied, and nothing is read beyond the end.

/// A field's content.
pub(crate) enum Wire<'b> {
    Number(u64),
    Eight(u64),
    Four,
    Bytes(&'b [u8]),
}

/// The fields of a message, one after the other; `None` in place of one that is broken, and nothing behind it.
pub(crate) struct Fields<'b>(pub(crate) &'b [u8]);

impl<'b> Iterator for Fields<'b> {
    type Item = Option<(u32, Wire<'b>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'b> Fields<'b> {
    fn field(&mut self) -> Option<(u32, Wire<'b>)> {
        let key = self.number()?;
        let number = u32::try_from(key >> 3).ok().filter(|number| *number > 0)?;
        let wire = match key & 7 {
            0 => Wire::Number(self.number()?),
            1 => Wire::Eight(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                Wire::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Wire::Four
            }
            _ => return None,
        };
        Some((number, wire))
    }

    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of up to ten bytes, seven bits in each, the lowest first.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for place in 0..10 {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f).checked_shl(place * 7)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

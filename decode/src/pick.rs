//! One pass over an object's keys puts each value into the slot of the field it stands for. Several keys may stand
//! for one field; the one with the lowest rank counts, whatever their order, and of equal ones the last.

use crate::json::Value;
use crate::requests::{self, Family, slot};

/// A value, and the key it was found under.
#[derive(Clone, Copy)]
pub(crate) struct Pick<'t> {
    pub(crate) key: &'t str,
    pub(crate) value: Value<'t>,
    rank: u8,
}

/// The values found for `N` fields.
pub(crate) struct Picked<'t, const N: usize>([Option<Pick<'t>>; N]);

impl<'t, const N: usize> Picked<'t, N> {
    /// Nothing found yet.
    pub(crate) fn none() -> Self {
        Self([None; N])
    }

    /// Sorts `pairs` by `slot`, which names a key's field and rank; `None` passes it over. Values that say "none" are
    /// passed over too, so that a worse key with a value serves.
    pub(crate) fn from(
        pairs: impl Iterator<Item = (&'t str, Value<'t>)>,
        slot: impl Fn(&str) -> Option<(usize, u8)>,
    ) -> Self {
        let mut picked = Self::none();
        for (key, value) in pairs {
            if let Some((field, rank)) = slot(key) {
                picked.offer(field, rank, key, value);
            }
        }
        picked
    }

    /// The entries of a request in a format of this family.
    pub(crate) fn request(object: Value<'t>, family: Family) -> Self {
        let mut picked = Self::none();
        for (key, value) in object.pairs() {
            let slot = match key.meaning() {
                Some(means) => means.slots[family as usize].map(|(field, rank)| (usize::from(field), rank)),
                None => requests::slot_of(family, key.text()),
            };
            // An object under one of these keys is a shipper's: `"host": {"name": …}`.
            if let Some((field, rank)) = slot
                && (!value.is_object() || field == slot::KUBERNETES)
            {
                picked.offer(field, rank, key.text(), value);
            }
        }
        picked
    }

    /// Offers a value for a field; it is taken where its rank is not worse than that of the one before.
    pub(crate) fn offer(&mut self, field: usize, rank: u8, key: &'t str, value: Value<'t>) {
        if !value.is_missing()
            && let Some(place) = self.0.get_mut(field)
            && place.is_none_or(|held| rank <= held.rank)
        {
            *place = Some(Pick { key, value, rank });
        }
    }

    pub(crate) fn get(&self, field: usize) -> Option<Pick<'t>> {
        self.0.get(field).copied().flatten()
    }

    /// The key that the field was found under; empty where there is none.
    pub(crate) fn key(&self, field: usize) -> &'t str {
        self.get(field).map_or("", |pick| pick.key)
    }

    /// The field's text; empty where there is none.
    pub(crate) fn text(&self, field: usize) -> &'t str {
        self.get(field).and_then(|pick| pick.value.scalar()).unwrap_or_default()
    }

    pub(crate) fn integer(&self, field: usize) -> Option<u64> {
        self.get(field)?.value.integer()
    }

    pub(crate) fn float(&self, field: usize) -> Option<f64> {
        self.get(field)?.value.float()
    }
}

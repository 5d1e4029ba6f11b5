//! One pass over an object's keys puts each value into the slot of the field it stands for. Several keys may stand
//! for one field; the one with the lowest rank counts, whatever their order, and of equal ones the last.

use crate::json::Value;
use crate::number;
use crate::requests::{self, Family, slot};

/// What stands for a field.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'t> {
    /// The key it was found under.
    pub(crate) key: &'t str,
    /// The text of a string or number, booleans as words; `None` for what holds others.
    pub(crate) scalar: Option<&'t str>,
}

/// What stands for the fields of a record, however it was read.
pub(crate) trait Entries<'t> {
    /// Nothing where there is no value, or one that says "none".
    fn entry(&self, field: usize) -> Option<Entry<'t>>;

    /// The text of what stands there.
    #[inline(always)]
    fn scalar(&self, field: usize) -> Option<&'t str> {
        self.entry(field).and_then(|entry| entry.scalar)
    }

    /// The key that the field was found under; empty where there is none.
    #[inline(always)]
    fn key(&self, field: usize) -> &'t str {
        self.entry(field).map_or("", |entry| entry.key)
    }

    /// The field's text; empty where there is none.
    #[inline(always)]
    fn text(&self, field: usize) -> &'t str {
        self.scalar(field).unwrap_or_default()
    }

    #[inline(always)]
    fn integer(&self, field: usize) -> Option<u64> {
        self.scalar(field).and_then(number::integer)
    }

    #[inline(always)]
    fn float(&self, field: usize) -> Option<f64> {
        self.scalar(field).and_then(number::float)
    }
}

/// Takes what an object has for the fields of a format, in the order in which it has it.
pub(crate) trait Offers<'t> {
    /// A value for a field, and its rank among those for the same.
    fn offer(&mut self, field: usize, rank: u8, key: &'t str, value: Value<'t>);
}

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
        offer_all(pairs, slot, &mut picked);
        picked
    }

    pub(crate) fn get(&self, field: usize) -> Option<Pick<'t>> {
        self.0.get(field).copied().flatten()
    }
}

impl<'t, const N: usize> Offers<'t> for Picked<'t, N> {
    /// It is taken where its rank is not worse than that of the one before.
    fn offer(&mut self, field: usize, rank: u8, key: &'t str, value: Value<'t>) {
        if !value.is_missing()
            && let Some(place) = self.0.get_mut(field)
            && place.is_none_or(|held| rank <= held.rank)
        {
            *place = Some(Pick { key, value, rank });
        }
    }
}

impl<'t, const N: usize> Entries<'t> for Picked<'t, N> {
    fn entry(&self, field: usize) -> Option<Entry<'t>> {
        self.get(field).map(|Pick { key, value, .. }| Entry { key, scalar: value.scalar() })
    }
}

/// Offers the entries of a request in a format of this family.
pub(crate) fn offer_request<'t>(object: Value<'t>, family: Family, to: &mut impl Offers<'t>) {
    for (key, value) in object.pairs() {
        let slot = match key.meaning() {
            Some(means) => means.slots[family as usize].map(|(field, rank)| (usize::from(field), rank)),
            None => requests::slot_of(family, key.text()),
        };
        // An object under one of these keys is a shipper's: `"host": {"name": …}`.
        if let Some((field, rank)) = slot
            && (!value.is_object() || field == slot::KUBERNETES)
        {
            to.offer(field, rank, key.text(), value);
        }
    }
}

/// Offers those of `pairs` that `slot` knows, which names a key's field and rank; `None` passes it over.
pub(crate) fn offer_all<'t>(
    pairs: impl Iterator<Item = (&'t str, Value<'t>)>,
    slot: impl Fn(&str) -> Option<(usize, u8)>,
    to: &mut impl Offers<'t>,
) {
    for (key, value) in pairs {
        if let Some((field, rank)) = slot(key) {
            to.offer(field, rank, key, value);
        }
    }
}

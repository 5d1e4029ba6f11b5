//! The visits themselves, in as little room as they fit into: a quiet client is one entry of a table of millions, and what
//! it has on the heap is waited for once more.

use crate::lane::SLOTS;

/// So many that are alike stand in place. Two of any kind do, in as much room.
const ALIKE: usize = 3;
const FEW: usize = 2;

/// Requests of one sub-bucket of the lane that are alike in all that its rules look at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Visit {
    /// From the origin.
    pub(super) distance: i32,
    pub(crate) count: u32,
    pub(crate) bytes: u32,
    pub(crate) look: Look,
}

/// What the lane's rules look at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// The rules of the lane that want them.
    pub(crate) rules: u32,
    pub(crate) values: [u32; SLOTS],
}

/// A visit without what it has in common with others: distance, count, bytes.
type Brief = (i32, u32, u32);

/// In the order in which they came.
#[derive(Debug)]
pub(super) enum Held {
    /// Most clients do the same again, as far as rules look.
    Alike {
        len: u8,
        look: Look,
        visits: [Brief; ALIKE],
    },
    Few {
        len: u8,
        visits: [Visit; FEW],
    },
    Many(Vec<Visit>),
}

impl Default for Held {
    fn default() -> Self {
        Self::Alike { len: 0, look: Look::default(), visits: [(0, 0, 0); ALIKE] }
    }
}

impl Held {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Alike { len, .. } | Self::Few { len, .. } => usize::from(*len),
            Self::Many(visits) => visits.len(),
        }
    }

    #[inline]
    pub(super) fn get(&self, at: usize) -> Option<Visit> {
        if at >= self.len() {
            return None;
        }
        match self {
            Self::Alike { look, visits, .. } => {
                let (distance, count, bytes) = *visits.get(at)?;
                Some(Visit { distance, count, bytes, look: *look })
            }
            Self::Few { visits, .. } => visits.get(at).copied(),
            Self::Many(visits) => visits.get(at).copied(),
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = Visit> {
        (0..self.len()).filter_map(|at| self.get(at))
    }

    pub(super) fn last(&self) -> Option<Visit> {
        self.get(self.len().wrapping_sub(1))
    }

    /// Puts other sums in place of the last one's.
    pub(super) fn set_last(&mut self, count: u32, bytes: u32) {
        let Some(last) = self.len().checked_sub(1) else { return };
        match self {
            Self::Alike { visits, .. } => (visits[last].1, visits[last].2) = (count, bytes),
            Self::Few { visits, .. } => (visits[last].count, visits[last].bytes) = (count, bytes),
            Self::Many(visits) => (visits[last].count, visits[last].bytes) = (count, bytes),
        }
    }

    pub(super) fn push(&mut self, visit: Visit) {
        let before = self.len();
        match self {
            Self::Alike { len, look, visits } if before < ALIKE && (before == 0 || *look == visit.look) => {
                *look = visit.look;
                visits[before] = (visit.distance, visit.count, visit.bytes);
                *len += 1;
            }
            Self::Few { len, visits } if before < FEW => {
                visits[before] = visit;
                *len += 1;
            }
            Self::Many(visits) => {
                if visits.len() == visits.capacity() {
                    visits.reserve_exact(visits.len());
                }
                visits.push(visit);
            }
            Self::Alike { .. } | Self::Few { .. } if before < FEW => {
                let mut visits = [visit; FEW];
                for (held, visit) in visits.iter_mut().zip(self.all()) {
                    *held = visit;
                }
                // At most `FEW`.
                *self = Self::Few { len: before as u8 + 1, visits };
            }
            Self::Alike { .. } | Self::Few { .. } => {
                let mut many = Vec::with_capacity(2 * before);
                many.extend(self.all());
                many.push(visit);
                *self = Self::Many(many);
            }
        }
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&Visit) -> bool) {
        let mut kept = Self::default();
        self.all().filter(keep).for_each(|visit| kept.push(visit));
        *self = kept;
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        if let Self::Many(visits) = self { visits.capacity() * size_of::<Visit>() } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn visit() -> impl Strategy<Value = Visit> {
        (0..4i32, 1..3u32, 0..3u32, 0..8u32).prop_map(|(distance, count, bytes, kind)| {
            // Mostly of one kind.
            let look = Look { rules: 1, values: [u32::from(kind == 7), 0] };
            Visit { distance, count, bytes, look }
        })
    }

    proptest! {
        #[test]
        fn every_form_holds_what_came_in_order(steps in prop::collection::vec((visit(), 0u8..8), 1..40)) {
            let (mut held, mut plain) = (Held::default(), Vec::new());
            for (visit, what) in steps {
                match what {
                    0 => {
                        held.retain(|held| held.distance != visit.distance);
                        plain.retain(|held: &Visit| held.distance != visit.distance);
                    }
                    1 => {
                        held.set_last(visit.count, visit.bytes);
                        if let Some(last) = plain.last_mut() {
                            (last.count, last.bytes) = (visit.count, visit.bytes);
                        }
                    }
                    _ => {
                        held.push(visit);
                        plain.push(visit);
                    }
                }
                prop_assert_eq!(held.all().collect::<Vec<_>>(), plain.clone());
                prop_assert_eq!(held.last(), plain.last().copied());
            }
        }
    }

    #[test]
    fn as_many_as_fit_take_nothing_on_the_heap() {
        let visit = Visit { count: 1, ..Visit::default() };
        let other = Visit { look: Look { rules: 1, ..Look::default() }, ..visit };
        let held = |visits: &[Visit]| {
            let mut held = Held::default();
            visits.iter().for_each(|visit| held.push(*visit));
            held.bytes()
        };
        assert_eq!((held(&[visit; ALIKE]), held(&[visit, other]), held(&[other; ALIKE])), (0, 0, 0));
        assert!(held(&[visit; ALIKE + 1]) > 0 && held(&[visit, visit, other]) > 0);
        assert_eq!(size_of::<Held>(), 56, "neither form is larger than the other");
    }
}

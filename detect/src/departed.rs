//! Which source each window was counted from, and which sources have left since.
//!
//! While a source is away, its entry goes on without it and forgets. So when a source has left for good (as far as
//! anyone can tell), windows that were counted from it alone are dropped: whoever reads it now rewound far enough to
//! have counted them too, and should it come back, they are counted anew. Windows that several sources fed stay, since
//! nobody can take a part out of them; records that they may hold already are not counted into them twice.

use std::collections::BTreeMap;

use beaconfire_model::Source;

use crate::Partial;

/// Where a window's records came from, as a shard numbers its sources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Fed {
    /// Nothing was counted yet.
    #[default]
    Nobody,
    /// One source.
    By(u16),
    /// Several.
    Many,
}

/// The sources that a shard has met.
#[derive(Debug, Default)]
pub(crate) struct Departed {
    /// At most one for each partition.
    known: BTreeMap<Source, Known>,
    /// Records come in stretches of one source: how the last one's windows are marked.
    last: Option<(Source, Fed)>,
    /// How many departures there have been. A window is as old as this number was when it was begun.
    age: u32,
}

#[derive(Debug, Default)]
struct Known {
    /// `None` before its first partial.
    number: Option<u16>,
    /// Our age behind its last departure.
    since: u32,
}

impl Departed {
    /// The age of windows that begin now.
    pub(crate) fn age(&self) -> u32 {
        self.age
    }

    /// A source has left: whoever reads it from now on may bring what older windows hold already.
    pub(crate) fn leave(&mut self, source: Source) {
        self.age += 1;
        self.known.entry(source).or_default().since = self.age;
    }

    /// How windows are marked that a source alone has fed; `None` where there are none.
    pub(crate) fn fed_by(&self, source: Source) -> Option<Fed> {
        self.known.get(&source)?.number.map(Fed::By)
    }

    /// Who fed a partial, and how old a window may be at the most to count it: one that was begun before the source
    /// left may hold it already.
    pub(crate) fn of(&mut self, partial: &Partial) -> (Fed, u32) {
        let Some(source) = partial.source else { return (Fed::Many, 0) };
        if let Some((last, fed)) = self.last
            && last == source
            && !partial.again
        {
            return (fed, 0);
        }
        let next = u16::try_from(self.known.len()).ok();
        let known = self.known.entry(source).or_default();
        known.number = known.number.or(next);
        let fed = known.number.map_or(Fed::Many, Fed::By);
        self.last = Some((source, fed));
        (fed, if partial.again { known.since } else { 0 })
    }
}

impl Fed {
    /// Fed by both.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nobody, one) | (one, Self::Nobody) => one,
            (one, same) if one == same => one,
            _ => Self::Many,
        }
    }
}

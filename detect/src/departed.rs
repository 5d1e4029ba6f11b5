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
    /// How many of them have a number. Beyond what fits, windows count as fed by several.
    numbers: u16,
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
    /// A source has left: whoever reads it from now on may bring what older windows hold already.
    pub(crate) fn leave(&mut self, source: Source) {
        self.age += 1;
        self.known.entry(source).or_default().since = self.age;
    }

    /// How windows are marked that a source alone has fed; `None` where there are none.
    pub(crate) fn fed_by(&self, source: Source) -> Option<Fed> {
        self.known.get(&source)?.number.map(Fed::By)
    }

    /// Who brings a partial, and how old a window may be at the most to count it: one that was begun before the source
    /// left may hold it already.
    pub(crate) fn of(&mut self, partial: &Partial) -> Bringing {
        let (fed, since) = self.by(partial);
        Bringing { fed, since, age: self.age }
    }

    fn by(&mut self, partial: &Partial) -> (Fed, u32) {
        let Some(source) = partial.source else { return (Fed::Many, 0) };
        if let Some((last, fed)) = self.last
            && last == source
            && !partial.again
        {
            return (fed, 0);
        }
        let known = self.known.entry(source).or_default();
        if known.number.is_none() && self.numbers < u16::MAX {
            known.number = Some(self.numbers);
            self.numbers += 1;
        }
        let fed = known.number.map_or(Fed::Many, Fed::By);
        self.last = Some((source, fed));
        (fed, if partial.again { known.since } else { 0 })
    }
}

/// Whose records a window holds, and how old it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Provenance {
    pub(crate) fed: Fed,
    /// How many departures of sources there had been when it was begun.
    age: u32,
}

/// Where a partial comes from, for the windows that it is added to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bringing {
    pub(crate) fed: Fed,
    /// Windows begun before this may hold it already.
    pub(crate) since: u32,
    /// How old windows are that begin now.
    pub(crate) age: u32,
}

impl Provenance {
    /// Takes note of what is brought; whether it is to be counted here.
    pub(crate) fn takes(&mut self, bringing: Bringing) -> bool {
        if self.fed == Fed::Nobody {
            self.age = bringing.age;
        }
        if self.age < bringing.since {
            return false;
        }
        self.fed = self.fed.and(bringing.fed);
        true
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

#[cfg(test)]
mod tests {
    use beaconfire_model::{Client, EntryId, Severity, TopicId};

    use super::*;
    use crate::Key;
    use crate::services::UNKNOWN;

    fn source(partition: i32) -> Source {
        Source { entry: EntryId(0), topic: TopicId(0), partition }
    }

    fn partial(partition: i32, again: bool) -> Partial {
        Partial {
            shard: 0,
            entry: EntryId(0),
            source: Some(source(partition)),
            again,
            rule: 0,
            service: UNKNOWN.1,
            key: Key::Client(Client::of("203.0.113.7".parse().unwrap())),
            bucket: 1,
            count: 1,
            matched: 0,
            severity: Severity::Info,
            lane: 0,
            values: [0; 2],
        }
    }

    #[test]
    fn sources_are_told_apart_also_where_they_left_before_they_brought_anything() {
        let mut departed = Departed::default();
        departed.leave(source(7));
        departed.leave(source(8));
        let feds: Vec<Fed> = [1, 7, 2, 8, 3].map(|at| departed.of(&partial(at, false)).fed).into();
        for (at, fed) in feds.iter().enumerate() {
            assert!(!feds[..at].contains(fed), "{feds:?}");
        }
        assert_eq!(departed.fed_by(source(8)), Some(feds[3]));
        assert_eq!(feds[0].and(feds[1]), Fed::Many);
    }

    #[test]
    fn what_is_read_again_counts_only_in_windows_younger_than_the_departure() {
        let mut departed = Departed::default();
        let old = departed.age;
        departed.leave(source(1));
        let since = departed.of(&partial(1, true)).since;
        assert!(old < since && since <= departed.age);
        assert_eq!(departed.of(&partial(1, false)).since, 0, "what is new counts everywhere");
        assert_eq!(departed.of(&partial(2, true)).since, 0, "this one never left");
    }
}

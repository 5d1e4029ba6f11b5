//! What a shard's thread does with its freight: one function, for the threads of `run` and for the simulated ones of
//! the tests.

use beaconfire_detect::Shard;

use crate::{Freight, Report};

/// Serves one piece of freight; what there is to report of it, if anything. A barrier passes behind all that is known:
/// facts that go on are stated up to here, what was learned goes to be stored with it, and what the runs in hand would need to be found again goes with it.
pub fn serve(thread: usize, shard: &mut Shard, freight: Freight) -> Option<Report> {
    let mut signals = Vec::new();
    let (mut passing, mut learned) = (None, Vec::new());
    match freight {
        Freight::Parcel(parcel) => shard.merge(*parcel, &mut signals),
        Freight::Left(source) => shard.left(source, &mut signals),
        Freight::Fact(fact) => signals.push(*fact),
        Freight::Barrier(mut barrier) => {
            shard.flush(&mut signals);
            learned = shard.learned();
            barrier.hold_back(shard.hold_floors());
            passing = Some(barrier);
        }
    }
    (!signals.is_empty() || passing.is_some()).then_some(Report {
        thread,
        signals,
        learned,
        barrier: passing,
    })
}

//! Resource samples: our own format; those of other producers are not in this version.

pub(crate) mod beaconfire;

//! Beaconfire: one binary that finds attacks in streams and tells the people on call once.

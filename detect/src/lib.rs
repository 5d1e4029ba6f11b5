//! Events in, signals out: rules, combiner, windows, shards

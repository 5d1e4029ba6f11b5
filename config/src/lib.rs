//! The operator's YAML as types: defaults, layers, complaints

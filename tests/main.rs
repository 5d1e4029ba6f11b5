//! All tests of the whole binary.

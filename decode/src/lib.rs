//! Bytes in, events out: envelopes, formats, the client trust rule, explain

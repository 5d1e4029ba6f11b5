//! The public JSON shapes, both ways

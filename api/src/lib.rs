//! The HTTP surface: API, bouncer contract, metrics, console

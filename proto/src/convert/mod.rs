//! Between wire and domain types: the only door, and everything is checked at it.

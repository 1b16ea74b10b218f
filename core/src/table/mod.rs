//! Mapping tables: which device and sector a piece of an LV lives on.

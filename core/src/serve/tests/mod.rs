//! A queue over made-up devices: every operation is carried out on bytes, in an order and with faults that
//! the test chooses.

mod late;
mod machine;
mod results;
mod table;

//! The copier over made-up devices: every operation is carried out on bytes, in an order and with faults
//! that the test chooses.

mod commit;
mod copying;
mod late;
mod log;
mod machine;
mod order;
mod rescue;
mod verify;

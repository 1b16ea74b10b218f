//! Tests of the driver with a front end that only keeps books.

//! CRC32C (Castagnoli), the checksum of every structure of the format.

#[cfg(not(feature = "__processor-crc"))]
use crc::{CRC_32_ISCSI, Crc, Table};

/// The small table: with the larger ones the crate's code could panic, as far as the compiler sees.
#[cfg(not(feature = "__processor-crc"))]
static CRC32C: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISCSI);

/// The CRC32C of `bytes`.
#[cfg(not(feature = "__processor-crc"))]
pub fn crc32c(bytes: &[u8]) -> u32 {
    CRC32C.checksum(bytes)
}

/// The CRC32C of `bytes`, by the processor's own instruction where it has one.
#[cfg(feature = "__processor-crc")]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

#[cfg(test)]
mod tests {
    #[test]
    fn agrees_with_the_published_check_value() {
        assert_eq!(super::crc32c(b"123456789"), 0xE306_9283);
    }

    /// What the simulator checks holds for the product, too.
    #[cfg(feature = "__processor-crc")]
    #[test]
    fn the_processor_counts_as_the_table_does() {
        let table = crc::Crc::<u32, crc::Table<1>>::new(&crc::CRC_32_ISCSI);
        let bytes: [u8; 9000] = core::array::from_fn(|n| (n * n >> 7) as u8);
        for size in (0..600).chain([4092, 4096, 8191, 9000]) {
            assert_eq!(super::crc32c(&bytes[..size]), table.checksum(&bytes[..size]), "{size}");
        }
    }
}

extern crate std;

use std::vec;

use super::*;

#[test]
fn the_header_is_the_kernels() {
    let bytes = header(0x0102_0304);
    assert_eq!(bytes, [0x72, 0x52, 0x69, 0x4D, 2, 0, 0, 0, 4, 3, 2, 1, 0, 0, 0, 0]);
    assert_eq!(check_header(&bytes, 0x0102_0304), Ok(0x0102_0304));
    // A mirror that does not reach to the end yet.
    assert_eq!(check_header(&bytes, 0x0102_0305), Ok(0x0102_0304));
    let expected = 7;
    let wrong = DirtyLogError::WrongChunks { expected, found: 0x0102_0304 };
    assert_eq!(check_header(&bytes, 7), Err(wrong));
    assert_eq!(check_header(&[0; 16], 7), Err(DirtyLogError::BadMagic { found: 0 }));
    let mut old = bytes;
    old[4] = 1;
    assert_eq!(check_header(&old, 7), Err(DirtyLogError::BadVersion { found: 1 }));
}

#[test]
fn image_sizes() {
    // 3072 bytes of bits stand behind the first 1024.
    assert_eq!(image_size(1), 4096);
    assert_eq!(image_size(3072 * 8), 4096);
    assert_eq!(image_size(3072 * 8 + 1), 8192);
    assert_eq!(image_size(u32::MAX), 1024 * 1024 * 512 + 4096);
}

#[test]
fn a_new_image_is_all_dirty() {
    let block = all_dirty_first_block(100);
    assert_eq!(count_clean(&block, 100), 0);
    assert!(block[16..].iter().all(|&byte| byte == 0));
    assert_eq!(check_header(block.first_chunk().unwrap(), 100), Ok(100));
}

#[test]
fn bits_are_where_the_kernel_has_them() {
    let mut image = vec![0; 4096];
    set_clean(&mut image, 0, true).unwrap();
    set_clean(&mut image, 10, true).unwrap();
    assert_eq!((image[1024], image[1025]), (1, 4));
    assert_eq!(is_clean(&image, 10), Some(true));
    assert_eq!(is_clean(&image, 11), Some(false));
    set_clean(&mut image, 10, false).unwrap();
    assert_eq!(count_clean(&image, 100), 1);
    assert_eq!(is_clean(&image, u32::MAX), None);
    assert_eq!(set_clean(&mut image, 3072 * 8, true), None);
}

#[test]
fn what_the_header_does_not_describe_is_dirty_whatever_its_bit_says() {
    let mut image = vec![0xFF; 4096];
    image[..16].copy_from_slice(&header(10));
    let log = Log::of(&image, 12).unwrap();
    assert_eq!(log.described(), 10);
    let clean: vec::Vec<u32> = (0..12).filter(|&chunk| log.is_clean(chunk)).collect();
    assert_eq!(clean, vec::Vec::from_iter(0..10));
    // One that ends before its bits knows nothing of them.
    assert!(!Log::of(&image[..1025], 12).unwrap().is_clean(8));
    assert!(Log::of(&image[..1025], 12).unwrap().is_clean(7));
    let few = Log::of(&image, 9).map(Log::described);
    assert_eq!(few, Err(DirtyLogError::WrongChunks { expected: 9, found: 10 }));
    let short = Log::of(&image[..15], 12).map(Log::described);
    assert_eq!(short, Err(DirtyLogError::BadMagic { found: 0 }));
}

#[test]
#[cfg_attr(miri, ignore = "megabytes, byte by byte")]
fn bits_past_the_last_chunk_do_not_count_however_the_image_is_cut() {
    let mut image = vec![0xFF; 8192];
    image[..16].copy_from_slice(&header(0));
    for chunks in [0, 1, 7, 8, 9, 31, 32, 33, 3072 * 8, 3072 * 8 + 5] {
        for piece in [1, 7, 512, 4096, 8192] {
            let mut counter = CleanCounter::new(chunks);
            image.chunks(piece).for_each(|bytes| counter.feed(bytes));
            assert_eq!(counter.clean(), chunks, "{chunks} chunks in pieces of {piece}");
        }
    }
}

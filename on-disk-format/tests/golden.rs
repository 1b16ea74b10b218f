//! The bytes of version 1 stay as they are. `LVSHIFT_BLESS=1 cargo test` rewrites the images;
//! do that only together with a new version or before the first release.

use std::path::PathBuf;

use lvshift_on_disk_format::{Geometry, Label, LabelCopy, Uuid, dirty_log, slot};

fn golden(name: &str, bytes: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("LVSHIFT_BLESS").is_some() {
        std::fs::write(&path, bytes).expect("golden images are writable");
    }
    let stored = std::fs::read(&path).expect("golden images are there");
    assert!(stored == bytes, "{} differs; LVSHIFT_BLESS=1 rewrites it", path.display());
}

fn uuid(first: u8) -> Uuid {
    Uuid(std::array::from_fn(|i| first + i as u8))
}

#[test]
fn labels() {
    let geometry = Geometry::for_device(2_097_152).unwrap();
    let label = Label::new(uuid(0x10), geometry).unwrap();
    for (copy, name) in LabelCopy::ALL.into_iter().zip(["label-0.bin", "label-1.bin"]) {
        let mut bytes = [0; Label::SIZE];
        label.as_copy(copy).encode(&mut bytes);
        golden(name, &bytes);
        assert_eq!(Label::decode(&bytes), Ok(label.as_copy(copy)));
    }
}

#[test]
fn slot_header() {
    let mut bytes = [0; 8192];
    slot::payload_mut(&mut bytes, 9).unwrap().copy_from_slice(b"123456789");
    let size = slot::seal(&mut bytes, uuid(0x20), uuid(0x10), 42, 9).unwrap();
    golden("slot.bin", &bytes[..size]);
}

#[test]
fn dirty_log_image() {
    let mut image = dirty_log::all_dirty_first_block(500);
    for chunk in [0, 1, 8, 499] {
        dirty_log::set_clean(&mut image, chunk, true).unwrap();
    }
    assert_eq!(dirty_log::count_clean(&image, 500), 4);
    golden("dirty-log.bin", &image);
}

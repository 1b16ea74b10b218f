//! docs/on-disk-format.md and layout.rs change together.

use std::path::Path;

use lvshift_on_disk_format::checksum::crc32c;

#[test]
fn the_document_was_read_again_after_the_last_change_of_the_layout() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let layout = std::fs::read(here.join("src/layout.rs")).unwrap();
    let document = std::fs::read_to_string(here.join("../docs/on-disk-format.md")).unwrap();
    let mark = format!("layout.rs: {:08x}", crc32c(&layout));
    assert!(
        document.contains(&mark),
        "on-disk-format/src/layout.rs has changed. Bring docs/on-disk-format.md in line with it \
         (fields, sizes, and the version history where bytes on disk change), then put \
         `{mark}` at its end in place of the old mark."
    );
}

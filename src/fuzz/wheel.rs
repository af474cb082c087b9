//! Python wheels, which are zip archives.

use std::fs;
use std::io::Write;

use runabout_store::wheel::Wheel;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// No member of a small archive is longer; deflate makes at most 1,032 bytes of one.
const MAX_GROWTH: u64 = 1100;

pub(crate) fn run(data: &[u8]) {
    let file = tempfile::NamedTempFile::new().expect("a file can be made");
    fs::write(file.path(), data).expect("a file can be written");
    let Ok(mut wheel) = Wheel::open(file.path()) else { return };
    let Ok(members) = wheel.members() else { return };
    for (name, _) in members.into_iter().take(4) {
        let mut bytes = Vec::new();
        if let Ok(n) = wheel.copy(&name, &mut bytes) {
            assert_eq!(n, bytes.len() as u64);
            assert!(n <= data.len() as u64 * MAX_GROWTH);
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let archive = |options: SimpleFileOptions| {
        let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, text) in
            [("model/a.gguf", "GGUF".repeat(50)), ("model-1.dist-info/RECORD", "a,b,1\n".to_owned())]
        {
            writer.start_file(name, options).expect("a member begins");
            writer.write_all(text.as_bytes()).expect("a member is written");
        }
        writer.finish().expect("the archive ends").into_inner()
    };
    [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated]
        .map(|it| archive(SimpleFileOptions::default().compression_method(it)))
        .into()
}

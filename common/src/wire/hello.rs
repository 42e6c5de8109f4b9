//! A node's answer to "who are you?".

use bytes::Bytes;
use roundtable_consensus::{ClusterId, ConfigurationDigest, DiskShortage, Epoch, Hello, StorageId};

use super::adopted;
use super::error::WireError;
use super::frame::{self, Kind};
use super::reader::Reader;
use super::target::{read_node_id, write_text};

/// Makes the body of a hello. A reason or a directory longer than 1024 bytes is cut.
#[must_use]
pub fn encode_hello(hello: &Hello) -> Bytes {
    let hint = 128 + hello.reason.len() + hello.adopted.as_ref().map_or(0, adopted::size_hint);
    frame::seal(Kind::Hello, hint, |writer| {
        writer.bytes8(hello.node.as_str().as_bytes());
        writer.u128(hello.storage.0);
        writer.u64(hello.file_epoch.0);
        writer.u128(hello.file_digest.0);
        writer.u64(hello.node_ms);
        writer.u8(hello.ready.into());
        write_text(writer, &hello.reason);
        writer.u8(hello.shortage.is_some().into());
        if let Some(shortage) = &hello.shortage {
            writer.u64(shortage.free_bytes);
            writer.u64(shortage.reserve_bytes);
            write_text(writer, &shortage.directory);
        }
        writer.u8(hello.bound.is_some().into());
        if let Some(cluster) = hello.bound {
            writer.u128(cluster.0);
        }
        writer.u8(hello.adopted.is_some().into());
        if let Some(adopted) = &hello.adopted {
            adopted::write(writer, adopted);
        }
    })
}

/// Reads the body of a hello.
///
/// # Errors
/// When the body is not a whole and undamaged hello of this format version.
#[expect(clippy::needless_pass_by_value, reason = "all decoders of bodies take the body alike")]
pub fn decode_hello(body: Bytes) -> Result<Hello, WireError> {
    let (_, mut reader) = frame::open(&body, &[Kind::Hello], "a hello")?;
    let hello = Hello {
        node: read_node_id(&mut reader, "node id")?,
        storage: StorageId(reader.u128("storage id")?),
        file_epoch: Epoch(reader.u64("file version")?),
        file_digest: ConfigurationDigest(reader.u128("file digest")?),
        node_ms: reader.u64("node's time")?,
        ready: reader.flag("ready")?,
        reason: reader.text16("reason")?.to_owned(),
        shortage: if reader.flag("lacks disk space")? { Some(read_shortage(&mut reader)?) } else { None },
        bound: if reader.flag("is bound")? { Some(ClusterId(reader.u128("bound cluster")?)) } else { None },
        adopted: if reader.flag("has adopted")? { Some(adopted::read(&mut reader)?) } else { None },
    };
    reader.finish()?;
    Ok(hello)
}

fn read_shortage(reader: &mut Reader<'_>) -> Result<DiskShortage, WireError> {
    Ok(DiskShortage {
        free_bytes: reader.u64("free bytes")?,
        reserve_bytes: reader.u64("reserve bytes")?,
        directory: reader.text16("data directory")?.to_owned(),
    })
}

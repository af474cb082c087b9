//! The content blocks of a prompt: [`Block`].

use runabout_rpc::ErrorObjectOwned;
use serde_json::Value;

use super::errors;

/// A part of what the person said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Block {
    Text(String),
    /// A resource that is named.
    Link {
        uri: String,
        name: String,
    },
    /// A resource with its text.
    Resource {
        uri: String,
        text: String,
    },
}

/// Reads the blocks of a prompt. One that the model cannot be given is refused by its name, since an answer to the rest
/// would be an answer to another question.
pub(super) fn read_all(prompt: &[Value]) -> Result<Vec<Block>, ErrorObjectOwned> {
    let mut blocks = Vec::with_capacity(prompt.len());
    for (at, block) in prompt.iter().enumerate() {
        let read = read(block).map_err(|fault| errors::invalid(&format!("prompt[{at}]"), fault));
        blocks.push(read?);
    }
    Ok(blocks)
}

fn read(block: &Value) -> Result<Block, String> {
    let text = |pointer: &str| block.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let required = |pointer: &str| {
        text(pointer).ok_or_else(|| format!("must have a string `{}`", pointer[1..].replace('/', ".")))
    };
    match block["type"].as_str() {
        Some("text") => Ok(Block::Text(required("/text")?)),
        Some("resource_link") => {
            let uri = required("/uri")?;
            let name = text("/name").unwrap_or_else(|| uri.clone());
            Ok(Block::Link { uri, name })
        }
        Some("resource") => {
            let uri = required("/resource/uri")?;
            if block.pointer("/resource/blob").is_some() {
                return Err(format!("is not text: the model cannot read `{uri}`"));
            }
            Ok(Block::Resource { uri, text: required("/resource/text")? })
        }
        Some(kind @ ("image" | "audio")) => {
            Err(format!("must be text or a resource, got `{kind}`: the model reads text only"))
        }
        Some(kind) => Err(format!("must be text or a resource, got the unknown type `{kind}`")),
        None => Err("must have a string `type`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn text_links_and_resources_are_read_whatever_else_they_have() {
        let blocks = [
            json!({"type": "text", "text": "why?", "annotations": 7, "new": {}}),
            json!({"type": "resource_link", "uri": "file:///a.rs", "name": "a.rs", "size": "?"}),
            json!({"type": "resource_link", "uri": "file:///b.rs"}),
            json!({"type": "resource", "resource": {"uri": "file:///c.rs", "text": "x", "mimeType": 1}}),
        ];
        let expected = [
            Block::Text("why?".into()),
            Block::Link { uri: "file:///a.rs".into(), name: "a.rs".into() },
            Block::Link { uri: "file:///b.rs".into(), name: "file:///b.rs".into() },
            Block::Resource { uri: "file:///c.rs".into(), text: "x".into() },
        ];
        assert_eq!(read_all(&blocks).unwrap(), expected);
    }

    #[test]
    fn what_the_model_cannot_read_is_refused_by_its_name() {
        for (block, told) in [
            (json!({"type": "image", "data": "", "mimeType": "image/png"}), "got `image`"),
            (json!({"type": "audio", "data": "", "mimeType": "audio/wav"}), "got `audio`"),
            (
                json!({"type": "resource", "resource": {"uri": "file:///a.png", "blob": "AA=="}}),
                "`file:///a.png`",
            ),
            (json!({"type": "video"}), "unknown type `video`"),
            (json!({"type": "text"}), "a string `text`"),
            (json!({"type": "resource", "resource": {"text": "x"}}), "a string `resource.uri`"),
            (json!("text"), "a string `type`"),
        ] {
            let error = read_all(&[json!({"type": "text", "text": ""}), block.clone()]).unwrap_err();
            assert!(error.message().starts_with("`prompt[1]` "), "{block}: {error}");
            assert!(error.message().contains(told), "{block}: {error}");
        }
    }
}

import Support

extension BytePairModel {
  /// A `tokenizer.json` with a byte-level BPE model. What would change ids and is not implemented
  /// is refused by name.
  static func huggingFace(
    _ json: JSONText.Value, source: String, fileBytes: Int
  ) throws -> BytePairModel {
    guard let model = json["model"] else { throw UserError("\(source): no model") }
    func refuse(_ what: String, _ found: JSONText.Value?) throws {
      guard let found, !found.isNull else { return }
      switch found {
      case .bool(false), .number(0): return
      case .string(let text) where text.isEmpty: return
      default:
        throw UserError(
          "\(source): \(what) is not implemented",
          expected: "a byte-level BPE vocabulary, as GPT-2, Llama 3, Qwen 2 and OLMo have it")
      }
    }
    if let type = model["type"]?.text, type != "BPE" {
      throw UserError("\(source): the model is not byte-level BPE", expected: "BPE", found: type)
    }
    for key in ["dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback"] {
      try refuse("model.\(key)", model[key])
    }
    let vocabulary = try Vocabulary(model["vocab"], source: source, fileBytes: fileBytes)
    let composes = try normalizer(json["normalizer"], source: source)
    let pattern = try preTokenizer(json["pre_tokenizer"], source: source)
    let added = try (json["added_tokens"]?.array ?? []).map {
      try addedToken($0, vocabulary, composes: composes, source: source)
    }
    var seen: [UInt32: [UInt8]] = [:]
    for token in added {
      if let other = seen.updateValue(token.content, forKey: token.id), other != token.content {
        throw UserError("\(source): added_tokens: duplicate id \(token.id)")
      }
    }
    guard let list = model["merges"]?.array else { throw UserError("\(source): no model.merges") }
    let merges = try list.enumerated().compactMap { index, item -> Vocabulary.Merge? in
      let place = "\(source): model.merges[\(index)]"
      if let text = item.bytes { return try Vocabulary.merge(text, place) }
      let parts = item.array?.compactMap(\.bytes) ?? []
      if parts.count != 2 { throw UserError("\(place): not a merge", expected: "two tokens") }
      return (parts[0], parts[1], place)
    }
    let result = try vocabulary.model(
      merges: merges, pattern: pattern, added: added, composes: composes,
      wholePretokens: model["ignore_merges"]?.bool ?? false)
    if result.byteTokens.contains(.max) { try refuse("model.unk_token", model["unk_token"]) }
    return result
  }

  /// Whether text is brought to form C.
  private static func normalizer(_ json: JSONText.Value?, source: String) throws -> Bool {
    guard let json, !json.isNull else { return false }
    if json["type"]?.text == "NFC" { return true }
    if json["type"]?.text == "Sequence", let parts = json["normalizers"]?.array {
      return try parts.map { try normalizer($0, source: source) }.contains(true)
    }
    throw UserError(
      "\(source): this normalizer is not implemented", expected: "none or NFC",
      found: json["type"]?.text)
  }

  private static func preTokenizer(
    _ json: JSONText.Value?, source: String
  ) throws -> PretokenPattern {
    func refuse(_ found: String?) -> UserError {
      UserError(
        "\(source): this pre-tokenizer is not implemented",
        expected:
          "ByteLevel without add_prefix_space, alone or behind one Split by a regular expression",
        found: found)
    }
    guard let json, !json.isNull else { throw refuse("none") }
    let steps = json["type"]?.text == "Sequence" ? json["pretokenizers"]?.array ?? [] : [json]
    var pattern: PretokenPattern?
    for (index, step) in steps.enumerated() {
      switch (step["type"]?.text, index == steps.count - 1) {
      case ("ByteLevel", true):
        if step["add_prefix_space"]?.bool ?? true { throw refuse("add_prefix_space") }
        if step["use_regex"]?.bool ?? true {
          if pattern != nil { throw refuse("Split before ByteLevel with use_regex") }
          return .gpt2
        }
        return pattern ?? .none
      case ("Split", false):
        guard pattern == nil, let regex = step["pattern"]?["Regex"]?.bytes else {
          throw refuse("Split")
        }
        let behavior = step["behavior"]?.text ?? ""
        let inverted = step["invert"]?.bool ?? false
        if (behavior, inverted) != ("Isolated", false) && (behavior, inverted) != ("Removed", true)
        {
          throw refuse("Split with behavior \(behavior)\(inverted ? ", inverted" : "")")
        }
        pattern = try PretokenPattern(regex: regex, source: source)
      default: throw refuse(step["type"]?.text)
      }
    }
    throw refuse("no ByteLevel")
  }

  private static func addedToken(
    _ json: JSONText.Value, _ vocabulary: Vocabulary, composes: Bool, source: String
  ) throws -> AddedToken {
    guard let id = json["id"]?.int, 0..<1 << 24 ~= id, case .string(let content)? = json["content"],
      !content.isEmpty
    else { throw UserError("\(source): added_tokens: an entry without id or content") }
    let text = Vocabulary.quoted(content)
    for key in ["single_word", "lstrip", "rstrip"] where json[key]?.bool ?? false {
      throw UserError("\(source): added token \(text): \(key) is not implemented")
    }
    if let other = vocabulary.token(id), other != content {
      throw UserError(
        "\(source): duplicate id \(id)",
        found: "\(Vocabulary.quoted(other)) and added token \(text)")
    }
    let normalized = json["normalized"]?.bool ?? false
    return AddedToken(
      id: UInt32(id),
      content: normalized && composes
        ? content.withUnsafeBufferPointer { Composition.composed($0) } ?? content : content,
      special: json["special"]?.bool ?? false, normalized: normalized)
  }
}

import Foundation
import NGrams
import Stores
import Support
import Testing

/// Stores of f-grams: what is written is read, and nothing else is taken for it.
@Suite final class FGramStoreTests {
  private let directory = NSTemporaryDirectory() + "ott-store-" + UUID().uuidString

  init() throws { try AtomicFile.makeDirectory(directory) }

  deinit { try? FileManager.default.removeItem(atPath: directory) }

  private static let vocabulary = 6

  /// All n-grams of tokens whose sum of neighbours is even, up to `longest`.
  private static func set(longest: Int = 4) -> FGramSet {
    var levels: [(keys: [UInt64], counts: [Int])] = []
    var ends = Array(0..<UInt64(vocabulary))
    for _ in 2...longest {
      var (keys, next) = ([UInt64](), [UInt64]())
      for (prefix, end) in ends.enumerated() {
        for token in 0..<UInt64(vocabulary) where (token + end) % 2 == 0 && token != 5 {
          keys.append(UInt64(prefix) << 32 | token)
          next.append(token)
        }
      }
      levels.append((keys, [Int](repeating: 1, count: keys.count)))
      ends = next
    }
    return FGramSet(vocabulary: vocabulary, levels: levels, longest: longest)
  }

  private static func value(_ id: Int, _ column: Int) -> Float {
    Float(id * 31 + column) / 7 * (column % 2 == 0 ? 1 : -1)
  }

  /// The nearest bfloat16, ties to even, by its definition.
  private static func rounded(_ x: Float) -> Float {
    let below = Float(bitPattern: x.bitPattern & 0xFFFF_0000)
    let above = Float(bitPattern: (x.bitPattern & 0xFFFF_0000) &+ 0x1_0000)
    let (down, up) = (abs(x - below), abs(above - x))
    if down != up { return down < up ? below : above }
    return below.bitPattern >> 16 & 1 == 0 ? below : above
  }

  private func write(
    _ set: FGramSet = FGramStoreTests.set(), width: Int = 33, precision: StorePrecision = .float32,
    model: String = "0123456789ab", name: String = "store", zeros: Int = 0
  ) throws -> String {
    let path = "\(directory)/\(name)"
    try AtomicFile.makeDirectory(path)
    let store = try FGramStore.write(
      set,
      description: StoreDescription(
        vocabulary: set.vocabulary, longest: set.longest, count: set.count, width: width,
        precision: precision, model: model, fGrams: "ba9876543210"), to: path
    ) { writer in
      try writer.append(zeroRows: zeros)
      // Rows by ones, twos and threes.
      var id = zeros
      while id < set.count {
        let count = min(id % 3 + 1, set.count - id)
        let rows = (id..<id + count).flatMap { id in (0..<width).map { Self.value(id, $0) } }
        try writer.append(rows.span)
        id += count
      }
    }
    try StageIndex.write(
      to: path,
      configuration: StageConfiguration(stage: "test", version: 1, parameters: ["x": 1]),
      content: ["store": store])
    return path
  }

  private static func gather(_ store: FGramStore, _ ids: [Int]) -> [Float] {
    var output = [Float](repeating: 99, count: ids.count * store.description.width)
    fill(&output, store, ids)
    return output
  }

  private static func fill(_ output: inout [Float], _ store: FGramStore, _ ids: [Int]) {
    var span = output.mutableSpan
    store.gather(ids.span, into: &span)
  }

  @Test(
    arguments: [1, 15, 16, 31, 32, 33, 2048], StorePrecision.allCases)
  func roundTrip(width: Int, precision: StorePrecision) throws {
    let set = Self.set()
    let path = try write(set, width: width, precision: precision)
    for placement in FGramStore.Placement.allCases {
      let store = try FGramStore(
        directory: path, placement: placement, model: "0123456789ab")
      #expect(store.set.count == set.count && store.description.width == width)
      #expect(try store.verify() > set.count * width * precision.bytes)
      for id in 0..<set.count { #expect(store.set.tokens(of: id) == set.tokens(of: id)) }
      let ids = Array(0..<set.count) + [3, -1, 3]
      let rows = Self.gather(store, ids)
      for (i, id) in ids.enumerated() {
        for column in 0..<width {
          let value = Self.value(id, column)
          #expect(
            rows[i * width + column]
              == (id < 0 ? 99 : precision == .float32 ? value : Self.rounded(value)))
        }
      }
      #expect(Self.gather(store, [5]) == Array(rows[5 * width..<6 * width]))
      #expect(Self.gather(store, []).isEmpty)
    }
  }

  @Test(arguments: [1, 3, 4, 9])
  func windowsFindTheirLongest(length: Int) throws {
    let store = try FGramStore(directory: write(), placement: .disk)
    var stream = RandomStream(seed: 1, name: "windows")
    let windows = (0..<200 * length).map { _ in stream.below(UInt32(Self.vocabulary)) }
    let ids = Self.match(store, windows, length: length)
    for i in 0..<200 {
      let window = windows[i * length..<(i + 1) * length]
      let longest = (2...4).last { $0 <= length && store.set.id(of: window.suffix($0)) != nil }
      #expect(ids[i] == longest.flatMap { store.set.id(of: window.suffix($0)) } ?? -1)
    }
  }

  private static func match(_ store: FGramStore, _ windows: [UInt32], length: Int) -> [Int] {
    var ids = [Int](repeating: 7, count: windows.count / length)
    var span = ids.mutableSpan
    store.match(windows.span, length: length, into: &span)
    return ids
  }

  /// Zeros that nobody writes are zeros, with the digest of zeros; 5 MiB of them, more than a block.
  @Test func holesAreZeros() throws {
    let set = Self.set(longest: 5)
    let path = try write(set, width: 100_000, zeros: set.count - 1)
    let store = try FGramStore(directory: path, placement: .disk)
    #expect(Self.gather(store, [0]).allSatisfy { $0 == 0 })
    #expect(Self.gather(store, [set.count - 1])[1] == Self.value(set.count - 1, 1))
    _ = try store.verify()
  }

  @Test func theSameBytesWhateverThePieces() throws {
    let one = try write(precision: .bfloat16)
    let two = try write(precision: .bfloat16, name: "again")
    for file in ["keys", "rows", "index.json"] {
      #expect(try FileBytes.read("\(one)/\(file)") == FileBytes.read("\(two)/\(file)"))
    }
  }

  // MARK: - What is refused

  private func refusal(_ body: () throws -> Void) -> String {
    do {
      try body()
    } catch let error as UserError {
      return error.description
    } catch {
      return "no UserError: \(error)"
    }
    return "nothing thrown"
  }

  /// Cut at any place, or a bit flipped anywhere, a file is refused: most when it is opened, the rest when
  /// it is verified. Nothing crashes.
  @Test(arguments: ["keys", "rows"], FGramStore.Placement.allCases)
  func damage(file: String, placement: FGramStore.Placement) throws {
    let path = try write(width: 5)
    let whole = try FileBytes.read("\(path)/\(file)")
    func open() throws { _ = try FGramStore(directory: path, placement: placement).verify() }
    try open()
    for count in [0, 1, 100, 4095, 4096, 4097, whole.count - 64, whole.count - 1] {
      try AtomicFile.write(Array(whole[..<count]), to: "\(path)/\(file)")
      #expect(refusal(open).contains("\(path)/\(file): expected"), "\(count) bytes")
    }
    try AtomicFile.write(whole + [0], to: "\(path)/\(file)")
    #expect(refusal(open).contains("truncated?"))
    let places = Array(0..<300) + Array(stride(from: 300, to: whole.count, by: 97))
    for place in places {
      var bytes = whole
      bytes[place] ^= 1 << UInt8(place % 8)
      try AtomicFile.write(bytes, to: "\(path)/\(file)")
      #expect(refusal(open).contains("\(path)/\(file)"), "byte \(place)")
    }
    try AtomicFile.write(whole, to: "\(path)/\(file)")
    try open()
  }

  @Test func strangersAreRefused() throws {
    let path = try write()
    #expect(
      refusal { _ = try FGramStore(directory: path, placement: .disk, model: "other") }.contains(
        "rows of another model: expected model other, found 0123456789ab"))
    let other = try write(model: "another", name: "other")
    for file in ["keys", "rows"] {
      let own = try FileBytes.read("\(path)/\(file)")
      try AtomicFile.write(FileBytes.read("\(other)/\(file)"), to: "\(path)/\(file)")
      #expect(
        refusal { _ = try FGramStore(directory: path, placement: .disk) }.contains(
          "expected the file that index.json describes, found another"))
      try AtomicFile.write(own, to: "\(path)/\(file)")
    }
    unlink("\(path)/rows")
    #expect(
      refusal { _ = try FGramStore(directory: path, placement: .memory) }.contains("cannot read"))
    unlink("\(path)/index.json")
    #expect(
      refusal { _ = try FGramStore(directory: path, placement: .memory) }.contains("no such file"))
    try StageIndex.write(
      to: path,
      configuration: StageConfiguration(stage: "test", version: 1, parameters: ["x": 1]),
      content: ["metadata": [:]])
    #expect(
      refusal { _ = try FGramStore(directory: path, placement: .memory) }.contains(
        "expected the index of a store of f-grams, found an output of stage test"))
  }

  @Test func roomIsLookedForFirst() throws {
    let set = Self.set()
    let message = refusal {
      _ = try FGramStore.write(
        set,
        description: StoreDescription(
          vocabulary: set.vocabulary, longest: set.longest, count: set.count, width: 1 << 40,
          precision: .float32, model: "m", fGrams: "f"), to: directory
      ) { _ in Issue.record("written without room") }
    }
    #expect(message.contains("a store of f-grams: expected") && message.contains("bytes of room"))
    #expect(try AtomicFile.names(in: directory).isEmpty)
  }

  /// A tree that does not say what its digests say is no way in.
  @Test func keysOutOfOrder() throws {
    let set = Self.set()
    final class Owner {}
    func open(_ bytes: [UInt8]) throws -> FGramTrie {
      try bytes.withUnsafeBytes { bytes in
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 64)
        defer { memory.deallocate() }
        memory.copyMemory(from: bytes)
        return try FGramTrie(
          vocabulary: set.vocabulary, longest: set.longest,
          content: UnsafeRawBufferPointer(memory), owner: Owner()
        ) { UserError("keys", expected: $0, found: $1) }
      }
    }
    let whole = Array(set.trie.content)
    _ = try open(whole)
    for place in stride(from: 0, to: whole.count, by: 4) {
      var bytes = whole
      bytes[place] ^= 0x41
      // Between arrays nothing is read: the digest alone tells.
      do { _ = try open(bytes) } catch is UserError {}
    }
    // The two first tokens behind token 0 change places.
    let tokens = 64 + (4 * (Self.vocabulary + 1) + 63) & ~63
    var bytes = whole
    bytes.swapAt(tokens, tokens + 4)
    #expect(refusal { _ = try open(bytes) }.contains("expected keys in order"))
  }
}

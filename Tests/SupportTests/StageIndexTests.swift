import Foundation
import Support
import Testing

@Suite struct StageIndexTests {
  /// Make is named where planning puts outputs, with the whole output and nothing beside it.
  @Test(arguments: [
    (
      "data/map/0123456789ab",
      "Run: rm -r data/map/0123456789ab && make data/map/0123456789ab/index.json"
    ),
    (
      "data/vocabulary/0123456789ab/split/x",
      "Run: rm -r data/vocabulary/0123456789ab && make data/vocabulary/0123456789ab/index.json"
    ),
    ("results/laptop", "Delete results/laptop and run the stage that makes it again."),
    ("data/map", "Delete data/map and run the stage that makes it again."),
    ("data/rerun/map", "Delete data/rerun/map and run the stage that makes it again."),
    ("data/map/0123456789a", "Delete data/map/0123456789a and run the stage that makes it again."),
    (
      "/tmp/data/map/0123456789ab",
      "Delete /tmp/data/map/0123456789ab and run the stage that makes it again."
    ),
  ])
  func remedies(directory: String, remedy: String) {
    #expect(StageIndex.remedy(directory) == remedy)
  }

  @Test(arguments: [
    ("data/map/0123456789ab", "Run: make data/map/0123456789ab/index.json"),
    ("nowhere", "Run the stage that makes it."),
  ])
  func whereThereIsNone(directory: String, remedy: String) {
    let error = #expect(throws: UserError.self) { _ = try StageIndex(directory: directory) }
    #expect(error?.remedy == remedy)
  }

  /// The values are right, so that the digests are: the message says what is not.
  @Test(arguments: [
    ("\r\n", "Windows line ends"), ("\n  ", "spelled otherwise"),
  ])
  func sealedFilesSpelledOtherwise(_ lineEnd: String, _ reason: String) throws {
    let directory = NSTemporaryDirectory() + "index-" + UUID().uuidString
    try AtomicFile.makeDirectory(directory)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let configuration = StageConfiguration(stage: "map", version: 1, parameters: ["order": 3])
    try StageIndex.write(to: directory, configuration: configuration, content: [:])
    #expect(try StageIndex(directory: directory).id == configuration.id)
    let path = directory + "/" + StageIndex.fileName
    let text = String(decoding: try FileBytes.read(path), as: UTF8.self)
    try AtomicFile.write(text.replacingOccurrences(of: "\n", with: lineEnd), to: path)
    let error = #expect(throws: UserError.self) { try StageIndex(directory: directory) }
    let message = try #require(error?.description)
    #expect(message.contains(reason))
    #expect(!message.contains("digest"))
  }
}

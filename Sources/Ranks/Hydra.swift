import Support

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// MPICH's launcher. Told to end no rank by force (`tools/ranks`), it waits for one that is stopped on another
/// machine, where nobody is who could end it.
enum Hydra {
  /// The name of the program that starts the ranks of a machine and is the parent of each.
  static let proxy = "hydra_pmi_proxy"

  /// How many ranks it starts on this machine.
  static func ranksHere(_ environment: [String: String]) -> Int? {
    environment["MPI_LOCALNRANKS"].flatMap { Int($0) }
  }

  /// Has the launcher kill all ranks on all machines and end with `status`; does nothing where another has
  /// started this process.
  ///
  /// By the word of its protocol that `MPI_Abort` says (PMI-1, `abort`), and not by that function: MPI may
  /// wait, and would add a message of its own. What has been printed until now is let through first.
  static func endAll(status: Int32) {
    guard getenv("HYDI_CONTROL_FD") != nil,
      let line = getenv("PMI_FD").flatMap({ Int32(String(cString: $0)) })
    else { return }
    sleep(1)
    let word = Array("cmd=abort exitcode=\(status)\n".utf8)
    _ = write(line, word, word.count)
  }
}

import Support

/// How this process was started as one of several, as the environment tells it.
package struct Launch: Equatable, Sendable {
  /// What an MPI has to be to know of these processes.
  package enum Library: String, Sendable, CaseIterable {
    case openMPI = "openmpi"
    case mpich
  }

  /// What people call it.
  package let launcher: String
  package let rank: Int
  package let size: Int
  /// Nil where the launcher tells no MPI of the others.
  package let library: Library?

  /// Where an MPI is chosen by hand: `none` for a process that is no rank whatever started it, the name of
  /// a library in `mpi/` beside the executables, or the path of one.
  package static let choiceKey = "OVERTOKEN_MPI"

  /// Nil when nothing has started this process as a rank.
  ///
  /// The innermost launcher counts: within an allocation of Slurm `mpirun` starts its daemons by `srun`,
  /// which leaves its variables to the ranks. A script of `sbatch` is no step, and so no rank.
  package init?(environment: [String: String]) {
    func number(_ key: String) -> Int? { environment[key].flatMap { Int($0) } }
    if environment[Launch.choiceKey] == "none" { return nil }
    if let size = number("OMPI_COMM_WORLD_SIZE"), let rank = number("OMPI_COMM_WORLD_RANK") {
      self.init("mpirun of Open MPI", rank, size, .openMPI)
    } else if let size = number("PMI_SIZE"), let rank = number("PMI_RANK") {
      self.init("mpiexec or srun with PMI", rank, size, .mpich)
    } else if let size = number("SLURM_STEP_NUM_TASKS"), let rank = number("SLURM_PROCID"),
      environment["SLURM_STEP_ID"] != nil
    {
      self.init("srun", rank, size, environment["PMIX_RANK"] == nil ? nil : .openMPI)
    } else {
      return nil
    }
    guard size >= 1, (0..<size).contains(rank) else { return nil }
  }

  package init(_ launcher: String, _ rank: Int, _ size: Int, _ library: Library?) {
    self.launcher = launcher
    self.rank = rank
    self.size = size
    self.library = library
  }

  /// Whether others were started with this process.
  package var hasOthers: Bool { size > 1 }

  /// - Throws: `UserError` when an MPI sees other ranks than were started: then each believes that it is
  ///   alone, or nearly.
  package func require(size found: Int, of implementation: String) throws {
    guard found != size else { return }
    throw UserError(
      "ranks", expected: "\(size), as \(launcher) has started",
      found: "\(found) by \(implementation)",
      remedy:
        "Start them with the mpirun of this MPI, or by srun with what it speaks (srun --mpi=list "
        + "says what there is).")
  }

  /// The library to load: the one that is chosen by hand, or of those in `directory` the one of the
  /// launcher.
  ///
  /// - Throws: `UserError` when there is none.
  package func libraryPath(
    in directory: String, choice: String?, exists: (String) -> Bool = FileBytes.exists
  ) throws -> String {
    let remedy = "Run: make mpi"
    if let choice, !choice.isEmpty {
      let path = choice.utf8.contains(UInt8(ascii: "/")) ? choice : "\(directory)/\(choice).so"
      guard exists(path) else {
        throw UserError(
          "\(Launch.choiceKey): expected a library of tools/build-mpi", found: "no file \(path)",
          remedy: remedy)
      }
      return path
    }
    guard let library else {
      throw UserError(
        "ranks", expected: "\(size) that \(launcher) tells an MPI of",
        found: "that it tells none, so that each would believe that it is alone",
        remedy: "Start them with srun --mpi=pmix for Open MPI, or srun --mpi=pmi2 for MPICH "
          + "(srun --mpi=list says what there is).")
    }
    let path = "\(directory)/\(library.rawValue).so"
    guard exists(path) else {
      throw UserError(
        "the MPI of \(launcher)", expected: "its library \(path)", found: "none", remedy: remedy)
    }
    return path
  }
}

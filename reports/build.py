def build_report(sweep, parent, folder, console):
    folder.mkdir(parents=True, exist_ok=True)
    console.print("report to come", sweep, parent)

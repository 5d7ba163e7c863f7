# The R kernel's process: Rscript --vanilla r_kernel.R <connection file>. Without start-up files of the user, which could run before the kernel.
# What follows is undone by nobody: it changes this one kernel object, not the package.

kernel <- IRkernel:::Kernel$new(connection_file = commandArgs(TRUE)[[1]])

local({
  executor <- kernel$executor
  respond <- executor$send_response
  show_value <- executor$handle_value
  is_value <- FALSE
  is_plain <- FALSE

  refuse <- function(what) {
    stop(what, " is not available: there is no stdin. Pass values as variables instead.", call. = FALSE)
  }
  # Frames of the machinery that runs code, which are no part of the code's traceback.
  is_machinery <- function(frame) grepl("^[0-9]+\\. \\.handleSimpleError\\(", frame)

  # IRkernel asks whether or not anybody may be asked, and then waits for good. It gives the value of an expression as any other thing to show.
  executor$send_response <- function(msg_type, parent_msg, socket_name, content) {
    if (msg_type == "input_request") refuse(if (isTRUE(content$password)) "getPass()" else "readline()")
    if (msg_type == "display_data" && is_value) {
      msg_type <- "execute_result"
      content$execution_count <- executor$execution_count
      # Four forms of a plain number say no more than one.
      if (is_plain) content[c("data", "metadata")] <- list(content$data["text/plain"], content$metadata["text/plain"])
    }
    if (msg_type == "error") content$traceback <- Filter(Negate(is_machinery), content$traceback)
    respond(msg_type, parent_msg, socket_name, content)
  }
  override <- function(method, with) assign(method, with, envir = as.environment(executor))
  override("handle_value", function(obj, visible) {
    is_value <<- TRUE
    is_plain <<- is.atomic(obj) && is.null(dim(obj))
    on.exit(is_value <<- FALSE)
    show_value(obj, visible)
  })
  # A message ends its line itself.
  override("handle_message", function(o) executor$stream(conditionMessage(o), "stderr"))
  # IRkernel's own does nothing here.
  override("quit", function(...) stop("quit() does not end this kernel: use restart_context.", call. = FALSE))

  # stdin leads nowhere, so that R's own would give nothing, as if somebody had answered so.
  is_stdin <- function(con) identical(con, "stdin") || (inherits(con, "connection") && summary(con)$description == "stdin")
  own <- list(readLines = base::readLines, scan = base::scan)
  replace <- function(name, wrapper) {
    space <- baseenv()
    unlockBinding(name, space)
    assign(name, wrapper, envir = space)
    lockBinding(name, space)
  }
  replace("readLines", function(con = stdin(), ...) {
    if (is_stdin(con)) refuse("readLines() of stdin")
    own$readLines(con, ...)
  })
  replace("scan", function(file = "", ...) {
    if (missing(file) && "text" %in% ...names()) return(own$scan(...))
    if (identical(file, "") || is_stdin(file)) refuse("scan() of stdin")
    own$scan(file, ...)
  })
})

kernel$run()

local paused = obj.spec.state == "Paused"
local deleting = obj.metadata.deletionTimestamp ~= nil

local actions = {}
actions["pause"] = {
  ["disabled"] = paused or deleting,
  ["iconClass"] = "fa fa-fw fa-pause",
  ["displayName"] = "Pause"
}
actions["resume"] = {
  ["disabled"] = not paused or deleting,
  ["iconClass"] = "fa fa-fw fa-play",
  ["displayName"] = "Resume"
}
actions["reconcile"] = {
  ["disabled"] = false,
  ["iconClass"] = "fa fa-fw fa-sync",
  ["displayName"] = "Look again now"
}
return actions

-- Mirror is kstatus-compatible: status.observedGeneration is -1 until the first observation, and the conditions are
-- Ready (always), Reconciling and Stalled (present only while true, never both).
-- A mirror that is paused as wished is Healthy: Suspended would hold every sync with several steps open.
local found = {}
if obj.status ~= nil and obj.status.conditions ~= nil then
  for _, condition in ipairs(obj.status.conditions) do
    if condition.type ~= nil then
      found[condition.type] = condition
    end
  end
end

local function message_of(condition, otherwise)
  if condition ~= nil and condition.message ~= nil and condition.message ~= "" then
    return condition.message
  end
  return otherwise
end

local health = {}
local ready = found["Ready"]

if obj.metadata.deletionTimestamp ~= nil then
  health.status = "Progressing"
  health.message = message_of(ready, "The Mirror is being deleted")
  return health
end

if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  health.status = "Progressing"
  health.message = "Waiting for the operator to observe the newest spec"
  if ready ~= nil and ready.observedGeneration == obj.metadata.generation then
    health.message = message_of(ready, health.message)
  end
  return health
end

if found["Stalled"] ~= nil and found["Stalled"].status == "True" then
  health.status = "Degraded"
  health.message = message_of(found["Stalled"], "The operator cannot go on by itself")
  return health
end

if found["Reconciling"] ~= nil and found["Reconciling"].status == "True" then
  health.status = "Progressing"
  health.message = message_of(found["Reconciling"], "The mirror is on its way")
  return health
end

if ready == nil or ready.status == "Unknown" then
  health.status = "Progressing"
  health.message = message_of(ready, "Waiting for the condition Ready")
  return health
end

if ready.status ~= "True" then
  health.status = "Degraded"
  health.message = message_of(ready, "The mirror is not as wished")
  return health
end

health.status = "Healthy"
health.message = message_of(ready, "The mirror is as wished")
return health

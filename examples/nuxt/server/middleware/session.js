import { storedSession } from "stored-session/h3";

export default storedSession(sessions);

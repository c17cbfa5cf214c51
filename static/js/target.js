// The page of a service: its map, as it was seen last.
import { follow } from './map.js'

follow(document.getElementById('map'), document.getElementById('links'))

#version 300 es
// What was blended, over the background: a colour, or what a map of all directions has behind the pixel.
precision highp float;

const float PI = 3.14159265;

uniform highp sampler2D image;
uniform highp sampler2D backdrop;
uniform vec3 background;
uniform bool mapped;
uniform mat3 turn; // the map's frame from the camera's
uniform vec4 lens;
uniform float height;
out vec4 pixel;

vec3 far() {
  vec2 place = vec2(gl_FragCoord.x, height - gl_FragCoord.y);
  vec3 ray = normalize(turn * vec3((place - lens.zw) / lens.xy, 1.0));
  return textureLod(backdrop, vec2(atan(ray.x, -ray.z) / (2.0 * PI) + 0.5, acos(ray.y) / PI), 0.0).rgb;
}

void main() {
  vec4 front = texelFetch(image, ivec2(gl_FragCoord.xy), 0);
  pixel = vec4(front.rgb + (1.0 - front.a) * (mapped ? far() : background), 1.0);
}
